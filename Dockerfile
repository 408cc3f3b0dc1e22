# Not built where it was written, for want of a container engine. `make image-steps` takes these very steps in a
# fresh environment instead: the RUN lines, the start, and the health check (tests/architecture/test_deployment.py).
ARG PYTHON=python:3.11-slim

FROM ${PYTHON} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY requirements.lock requirements-dev.lock ./
# No pip in the environment that is shipped: the one outside installs into it.
RUN python -m venv /build && python -m venv --without-pip /opt/connections
RUN /build/bin/pip --python /opt/connections/bin/python install --require-hashes --only-binary :all: -r requirements.lock
# What builds the project itself comes out of a lock, too.
RUN awk '/^[^ ]/ { wanted = /^setuptools==/ } wanted' requirements-dev.lock > /build/setuptools.lock
RUN /build/bin/pip install --require-hashes --only-binary :all: -r /build/setuptools.lock
COPY pyproject.toml README.md ./
COPY domain ./domain
COPY application ./application
COPY adapters ./adapters
COPY entrypoints ./entrypoints
RUN /build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /build/wheels .
RUN /build/bin/pip --python /opt/connections/bin/python install --no-deps --no-index /build/wheels/*.whl

FROM ${PYTHON}
COPY --from=build /opt/connections /opt/connections
ENV PATH=/opt/connections/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1 CONNECTIONS_HOST=0.0.0.0 CONNECTIONS_LOG_FORMAT=json
WORKDIR /tmp
USER 10001:10001
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + (os.environ.get('CONNECTIONS_PORT') or '3000') + '/healthz', timeout=2)"]
ENTRYPOINT ["connections"]
CMD ["serve"]
