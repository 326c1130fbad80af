"""A real `collegium serve` with its real engine, as tests start, use and kill it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.servers import free_port

START_TIMEOUT_S = 400.0
COUNT_TIMEOUT_S = 120.0
ENGINE_MODULE = "vllm.entrypoints.openai.api_server"


@dataclass
class RunningService:
    """A running Collegium with a registry of its own."""

    url: str
    data_dir: Path
    process: subprocess.Popen[bytes]
    environment: dict[str, str]

    def engine(self) -> psutil.Process:
        """The engine's process."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        return next(child for child in children if ENGINE_MODULE in child.cmdline())

    def wait_engine(self) -> None:
        """Return when the engine's process has begun; it is far from ready then."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            with contextlib.suppress(StopIteration, psutil.NoSuchProcess):
                self.engine()
                return
            assert self.process.poll() is None, f"the service ended with {self.process.returncode}"
            time.sleep(0.1)
        raise TimeoutError(f"no engine began within {START_TIMEOUT_S} s")

    def kill_engine(self) -> None:
        """Kill the engine as a crash would."""
        self.engine().kill()

    def engine_load(self) -> float:
        """How many requests the engine runs, by the engine's own metric."""
        words = self.engine().cmdline()
        port = words[words.index("--port") + 1]
        text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text
        lines = [li for li in text.splitlines() if li.startswith("vllm:num_requests_running{")]
        return sum(float(line.split()[-1]) for line in lines)

    def wait_ready(self) -> None:
        """Return when the service can answer."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"the service ended with {self.process.returncode}"
            try:
                if httpx.get(f"{self.url}/readyz", timeout=10).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.3)
        raise TimeoutError(f"the service was not ready within {START_TIMEOUT_S} s")

    def cli(self, *arguments: str, said: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run `collegium …` on this service's registry; `said` is what a person types."""
        command = [sys.executable, "-m", "collegium", *arguments]
        return subprocess.run(
            command,
            env=self.environment,
            input=said,
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )

    def counted_tokens(self, expert: str) -> Any:
        """What `expert tokens` tells once the engine has counted some; it writes once a second."""
        deadline = time.monotonic() + COUNT_TIMEOUT_S
        while True:
            counted = json.loads(self.cli("expert", "tokens", expert, "--json").stdout)
            if counted["layers"] and counted["layers"][0]["tokens"]:
                return counted
            assert time.monotonic() < deadline, counted


@contextmanager
def running_service(data_dir: Path, **settings: str) -> Iterator[RunningService]:
    """Start the service on a free port with these settings; end it and its engine afterwards."""
    with begun_service(data_dir, **settings) as service:
        service.wait_ready()
        yield service


@contextmanager
def begun_service(data_dir: Path, **settings: str) -> Iterator[RunningService]:
    """A service as `running_service` starts it, which nobody has waited for."""
    port = free_port()
    ours = {
        "COLLEGIUM_DATA_DIR": str(data_dir),
        "COLLEGIUM_PORT": str(port),
        "COLLEGIUM_DEVICE_WATTS": "40",
        "COLLEGIUM_SPARSE": "false",  # a second engine, which has tests of its own
        **settings,
    }
    environment = without_settings() | {"ECHO_API_KEY": "s3cret-of-the-echo"} | ours
    command = [sys.executable, "-m", "collegium", "serve"]
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "serve.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    service = RunningService(f"http://127.0.0.1:{port}", data_dir, process, environment)
    try:
        yield service
    finally:
        process.terminate()
        process.wait(timeout=60)


def without_settings() -> dict[str, str]:
    """The environment without a developer's own settings, but for where the cache is.

    Nor has it what `tests/conftest.py` says to the tests' own threads.
    """
    dropped = {name for name in os.environ if name.startswith("COLLEGIUM_")}
    dropped |= {"OMP_WAIT_POLICY", "OPENBLAS_NUM_THREADS"}
    kept = {"COLLEGIUM_CACHE_DIR"}
    return {k: v for k, v in os.environ.items() if k not in dropped - kept}
