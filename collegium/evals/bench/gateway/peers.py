"""Other gateways, each installed in its own environment under the cache folder."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from collegium.errors import SetupError
from collegium.evals.bench.gateway.process import HOST, Gateway, running
from collegium.evals.bench.gateway.servers import MODEL
from collegium.experts.vllm import free_port

log = logging.getLogger(__name__)
LITELLM = ("litellm[proxy]==1.110.2", "litellm[proxy]==1.108.7")
"""The current release, and the last one that an index without `litellm-proxy` has."""
VLLM_ROUTER = "vllm-router==0.1.17"
INSTALL_TIMEOUT_S = 900


@contextmanager
def litellm(
    folder: Path, target: str, *, cache: Path, key: str, granian: bool = False
) -> Iterator[Gateway]:
    """LiteLLM's proxy with one worker, no database and no logging; it routes by model's name.

    Its router is a Rust library since 1.110; with `granian` its HTTP server is in Rust, too. No
    gateway written in Rust alone was found on PyPI on 2026-11-30.
    """
    home = first_of(LITELLM, cache)
    folder.mkdir(parents=True, exist_ok=True)
    upstream = {"model": f"openai/{MODEL}", "api_base": target, "api_key": "none"}
    config = folder / "config.yaml"  # JSON is YAML too
    config.write_text(
        json.dumps({"model_list": [{"model_name": MODEL, "litellm_params": upstream}]})
    )
    port = free_port(HOST)
    command = [f"{home}/bin/litellm", "--config", str(config), "--host", HOST]
    command += ["--port", str(port), "--num_workers", "1"]
    command += ["--run_granian"] if granian else []
    name = "litellm, granian" if granian else "litellm"
    settings = {
        "LITELLM_MASTER_KEY": key,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it fetches prices from the internet
        "LITELLM_LOG": "ERROR",  # else it logs every request
    }
    with running(name, command, folder, port, "/health/liveliness", settings) as pid:
        yield Gateway(name, f"http://{HOST}:{port}/v1", MODEL, pid)


@contextmanager
def vllm_router(folder: Path, target: str, *, cache: Path) -> Iterator[Gateway]:
    """The vLLM project's router (Rust) with one worker behind it; it does not read the query."""
    home = environment(VLLM_ROUTER, cache)
    port, metrics = free_port(HOST), free_port(HOST)
    command = [f"{home}/bin/vllm-router", "--host", HOST, "--port", str(port)]
    command += ["--worker-urls", target.removesuffix("/v1"), "--policy", "round_robin"]
    command += ["--prometheus-port", str(metrics), "--log-level", "error"]
    with running("vllm-router", command, folder, port, "/health", {}) as pid:
        yield Gateway("vllm-router", f"http://{HOST}:{port}/v1", MODEL, pid)


def first_of(requirements: Sequence[str], cache: Path) -> Path:
    """The folder of a virtual environment with the first of these that can be installed."""
    for requirement in requirements[:-1]:
        try:
            return environment(requirement, cache)
        except SetupError as exc:
            log.warning("%s", exc)
    return environment(requirements[-1], cache)


def environment(requirement: str, cache: Path) -> Path:
    """The folder of a virtual environment with one requirement; made once, whole or not at all."""
    home = cache / "bench" / requirement.replace("==", "-").replace("[proxy]", "")
    if (home / "installed").is_file():
        return home
    shutil.rmtree(home, ignore_errors=True)
    home.parent.mkdir(parents=True, exist_ok=True)
    try:
        for command in (
            [sys.executable, "-m", "venv", str(home)],
            [f"{home}/bin/pip", "install", "-q", requirement],
        ):
            subprocess.run(
                command, check=True, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S
            )
    except (subprocess.SubprocessError, OSError) as exc:
        said = (getattr(exc, "stderr", None) or str(exc)).strip().splitlines()[-1]
        raise SetupError(f"{requirement} can't be installed from PyPI: {said}") from exc
    (home / "installed").touch()
    return home
