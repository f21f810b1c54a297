# The image in which services and clients run. Nothing here needs BuildKit.
#   docker build -t zkrpc:local .
ARG PYTHON_IMAGE=python:3.11-slim

# The wheel, compiled if the compiler can be had; --build-arg COMPILER= makes it one of pure Python.
FROM ${PYTHON_IMAGE} AS wheel
COPY ca/ /usr/local/share/ca-certificates/
RUN update-ca-certificates
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
ARG COMPILER="gcc libc6-dev"
RUN test -z "$COMPILER" \
 || { apt-get update && apt-get install -y --no-install-recommends $COMPILER; } \
 || echo "no compiler: zkrpc will be pure Python"
RUN python3 -m venv /venv
WORKDIR /src
COPY LICENSE README.md pyproject.toml setup.cfg setup.py ./
COPY zkrpc zkrpc
RUN /venv/bin/pip wheel --no-deps --wheel-dir /wheels .

FROM ${PYTHON_IMAGE}

# For networks that have a certificate authority of their own; ca/README says more.
COPY ca/ /usr/local/share/ca-certificates/
RUN update-ca-certificates
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PATH=/venv/bin:$PATH
RUN python3 -m venv /venv \
 && useradd --uid 10001 --create-home zkrpc \
 && install --directory --owner=zkrpc /data

# The dependencies have a layer of their own, which a change of our code leaves as it is.
WORKDIR /src
COPY LICENSE README.md pyproject.toml setup.cfg ./
COPY zkrpc/__init__.py zkrpc/
RUN pip install . \
 && rm -rf /src/*
COPY --from=wheel /wheels /wheels
RUN pip install --no-deps --force-reinstall /wheels/*.whl

WORKDIR /app
COPY idl idl
COPY examples examples
USER zkrpc
VOLUME /data
EXPOSE 9090
# The supervisor drains on SIGTERM: it leaves the registry first and finishes its calls.
STOPSIGNAL SIGTERM
CMD ["zkrpc", "serve", "examples.users:service", "--bind", "0.0.0.0:9090"]
