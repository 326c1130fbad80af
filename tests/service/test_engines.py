"""Engines that experts bring, on the real vLLM: added, frozen, and ended with their expert."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from collegium.experts.embedded import ensure_base_model
from collegium.settings import load_settings
from tests.running_service import RunningService, running_service
from tests.service.upstreams import until

pytestmark = pytest.mark.slow
HELLO = {"model": "mine", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service without the embedded pool; an engine counts as hung after 20 s."""
    folder = tmp_path_factory.mktemp("bare")
    settings = {"COLLEGIUM_EMBEDDED": "false", "COLLEGIUM_ENGINE_STALL_S": "20"}
    with full_disk(folder / "logs"), running_service(folder, **settings) as service:
        yield service


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """A disk of 64 KiB, which an engine's log fills in its first seconds; only root can mount."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        yield
        return
    try:
        (folder / "filler").write_bytes(b"x" * 60_000)
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def state(service: RunningService) -> Any:
    """What the service says of its one engine."""
    engines = httpx.get(f"{service.url}/v1/engines", timeout=30).json()["data"]
    return engines[0] if engines else None


def test_an_expert_brings_its_engine_which_is_watched_and_goes_with_it(
    bare: RunningService, tmp_path: Path
) -> None:
    """One engine's whole life, for each start takes most of a minute."""
    model = ensure_base_model(load_settings().cache_dir)
    refused = bare.cli("expert", "add", "mine", "--model-path", str(tmp_path))
    assert refused.returncode == 1
    assert "no config.json" in refused.stderr

    added = bare.cli(
        "expert", "add", "mine", "--model-path", str(model), "--generalist",
        "--max-sequences", "4", "--engine-flag=--max-num-batched-tokens=2048", "--json",
    )  # fmt: skip
    assert added.returncode == 0, added.stderr
    assert json.loads(added.stdout)["probe"]["answered"]
    logs = bare.data_dir / "logs"
    if logs.is_mount():
        assert shutil.disk_usage(logs).free == 0
    engine = state(bare)
    assert (engine["name"], engine["state"], engine["starts"]) == ("mine", "ready", 1)
    url = f"{bare.url}/v1/chat/completions"
    assert httpx.post(url, json=HELLO, timeout=120).json()["model"] == "mine"

    # The core freezes: health stays well, tokens do not come.
    server = psutil.Process(engine["pid"])
    cores = server.children(recursive=True)
    for core in cores:
        core.send_signal(signal.SIGSTOP)
    assert httpx.get(f"{bare.url}/healthz").status_code == 200
    failed = httpx.post(url, json=HELLO | {"stream": True}, timeout=120)
    # vLLM's server may tell of the dead core (500, so 502) before it is ended itself.
    assert failed.status_code in (502, 503, 504)
    until(lambda: state(bare)["starts"] >= 2 and state(bare)["state"] == "ready", 300)
    assert httpx.post(url, json=HELLO, timeout=120).status_code == 200
    assert not any(core.is_running() and core.status() != "zombie" for core in cores)

    removed = bare.cli("expert", "remove", "mine")
    assert removed.returncode == 0, removed.stderr
    until(lambda: state(bare) is None, 60)
    metrics = httpx.get(f"{bare.url}/metrics", timeout=30).text
    assert "collegium_engine_ready{" not in metrics
    family = psutil.Process(bare.process.pid).children(recursive=True)
    assert [p for p in family if "vllm" in f"{p.name()} {p.cmdline()}".lower()] == []
