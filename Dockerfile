# One image for the service and for a vLLM expert on the CPU (docs/decisions/0002-one-environment.md).
FROM python:3.11-slim

# Another package index, where the CPU build of torch comes from one; empty uses pip's own.
ARG PIP_EXTRA_INDEX_URL=""

# vLLM's CPU extension is linked with libnuma.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libnuma1 \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /app
COPY requirements.txt ./
RUN pip install --no-cache-dir --no-deps -r requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY collegium collegium
RUN pip install --no-cache-dir --no-deps --no-build-isolation .

RUN useradd --create-home collegium
USER collegium
WORKDIR /home/collegium
ENV PYTHONSAFEPATH=1 \
    COLLEGIUM_HOST=0.0.0.0 \
    COLLEGIUM_PORT=8000 \
    COLLEGIUM_EMBEDDED=false
EXPOSE 8000
CMD ["collegium", "serve"]
