# One image for the service and for a vLLM expert on the CPU (docs/decisions/0002-one-environment.md).
FROM python:3.11-slim

# An index that has PyTorch's CPU build; without one the image is 3 GB larger (scripts/install).
ARG PIP_EXTRA_INDEX_URL=""
# "--unchecked" for an index that builds its own wheels, whose hashes are not PyPI's.
ARG INSTALL_OPTIONS=""

# vLLM's CPU extension is linked with libnuma.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libnuma1 \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /app
COPY requirements.txt requirements.hashes requirements-cuda.txt ./
COPY scripts/install scripts/install
RUN COLLEGIUM_BUILD=cpu PIP_NO_CACHE_DIR=1 python scripts/install $INSTALL_OPTIONS
COPY pyproject.toml README.md LICENSE ./
COPY collegium collegium
RUN pip install --no-cache-dir --no-deps --no-build-isolation .

# A number, for Kubernetes to see that it is not root; what is written lies in one folder.
RUN useradd --uid 10001 --create-home collegium \
    && install --directory --owner=collegium --group=collegium --mode=0700 /var/lib/collegium
USER 10001
WORKDIR /home/collegium
VOLUME /var/lib/collegium
ENV PYTHONSAFEPATH=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    COLLEGIUM_DATA_DIR=/var/lib/collegium \
    COLLEGIUM_CACHE_DIR=/var/lib/collegium/cache \
    COLLEGIUM_HOST=0.0.0.0 \
    COLLEGIUM_PORT=8000 \
    COLLEGIUM_EMBEDDED=false
EXPOSE 8000
CMD ["collegium", "serve"]
