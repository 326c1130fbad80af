"""Server processes: start, wait, measure memory, stop."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from collegium.errors import SetupError

HOST = "127.0.0.1"
START_TIMEOUT_S = 180.0


@dataclass(frozen=True)
class Gateway:
    """A running server: its address up to `/v1`, the model to ask for, its process."""

    name: str
    url: str
    model: str
    pid: int
    key: str | None = None
    """What it is asked with, if not with the key of the run."""


@contextmanager
def running(
    name: str,
    command: Sequence[str],
    folder: Path,
    port: int,
    ready: str,
    environment: Mapping[str, str],
) -> Iterator[int]:
    """Start a server, wait until `ready` answers 200, yield its process id; end it after."""
    folder.mkdir(parents=True, exist_ok=True)
    child = [sys.executable, "-m", "collegium.experts.child", *command]
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            child,
            env={**os.environ, "PYTHONSAFEPATH": "1", **environment},
            stdout=log,
            stderr=log,
            cwd=folder,
        )
    try:
        _wait(name, process, folder / f"{name}.log", f"http://{HOST}:{port}{ready}")
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(name: str, process: subprocess.Popen[bytes], log: Path, url: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(httpx.TransportError):
            if httpx.get(url, timeout=5, trust_env=False).status_code == 200:
                return
        time.sleep(0.1)
    raise SetupError(f"{name} did not start: {log.read_text(errors='replace')[-400:]}")


def program(name: str, package: str) -> str:
    """Find a program of a Debian package; SetupError says how to install it."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
    if found is None:
        raise SetupError(f"this benchmark needs {name}: apt-get install {package}")
    return found


def processor_s(pid: int) -> float:
    """Seconds of the processor that a process and its children have used (Linux)."""
    ticks = 0
    for process in (pid, *_children(pid)):
        fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])  # utime and stime, proc(5)
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_mib(pid: int) -> float:
    """Resident memory of a process and its children, MiB (Linux)."""
    pages = [int(Path(f"/proc/{p}/statm").read_text().split()[1]) for p in (pid, *_children(pid))]
    return sum(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20


def open_files(pid: int) -> int:
    """Files, sockets and the like that a process holds open (Linux)."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
