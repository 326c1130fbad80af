"""One engine's process: start it, check its health, end it and its children."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import httpx

from collegium.errors import SetupError
from collegium.experts import vllm
from collegium.experts.engine_log import EngineLog
from collegium.experts.vllm import EngineSpec, environment, free_port, is_taken

LAST_WORDS_S = 1.0
Command = Callable[[EngineSpec, int], list[str]]


class EngineProcess(Protocol):
    """An engine's process, on this machine or another one."""

    base_url: str
    node: str
    """The machine that it runs on; empty for this one."""

    @property
    def pid(self) -> int | None:
        """Its process here; None on another machine."""

    @property
    def ended(self) -> str | None:
        """Why it ended; None while it runs."""

    async def wait(self) -> str:
        """Return why it ended, when it has."""

    async def last_error(self) -> str | None:
        """Return the last error of a process that ends, for people."""

    async def end(self, grace_s: float) -> None:
        """End it and what it started: politely first, and by force after `grace_s`."""


class Launcher(Protocol):
    """Starts engines' processes."""

    waits: str
    """What a start may have to wait for; empty for nothing."""

    async def launch(self, spec: EngineSpec, log: Path) -> EngineProcess:
        """Start a process; raise SetupError if that is impossible."""


class LocalLauncher:
    """Starts processes on this machine."""

    waits = ""

    def __init__(self, command: Command = vllm.command) -> None:
        self._command = command

    async def launch(self, spec: EngineSpec, log: Path) -> LocalProcess:
        """Start a process; raise SetupError if its port is taken or there is no such program."""
        host, port = spec.host, spec.port
        if port and is_taken(host, port):
            raise SetupError(f"port {port} is taken by another program")
        try:
            port = port or free_port(host)
            process = await launch(self._command(spec, port), environment(spec))
        except OSError as exc:
            raise SetupError(f"the engine can't be started: {exc}") from exc
        return LocalProcess(process, f"http://{host}:{port}", EngineLog(log))


class LocalProcess:
    """A process on this machine, and the task that keeps its output."""

    node = ""

    def __init__(self, process: asyncio.subprocess.Process, base_url: str, said: EngineLog) -> None:
        assert process.stdout is not None
        self.base_url = base_url
        self.pid: int | None = process.pid
        self._process = process
        self._said = said
        capture = said.capture(process.stdout)
        self._capture = asyncio.create_task(capture, name=f"log of engine {process.pid}")

    @property
    def ended(self) -> str | None:
        """Its status, in words."""
        status = self._process.returncode
        return None if status is None else f"the engine ended with status {status}"

    async def wait(self) -> str:
        """Return its status, in words."""
        return f"the engine ended with status {await self._process.wait()}"

    async def last_error(self) -> str | None:
        """Return its last error once its output has ended, or soon."""
        await asyncio.wait({self._capture}, timeout=LAST_WORDS_S)
        return self._said.last_error()

    async def end(self, grace_s: float) -> None:
        """SIGTERM to the whole group, then SIGKILL for what is left; its log ends with it."""
        await end(self._process, self._capture, grace_s)


async def launch(command: Sequence[str], env: Mapping[str, str]) -> asyncio.subprocess.Process:
    """Start a program whose output we read; raise OSError if it doesn't exist."""
    return await asyncio.create_subprocess_exec(
        *command,
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,  # its own process group: Ctrl-C is ours to pass on
    )


async def healthy(http: httpx.AsyncClient) -> bool:
    """Whether it says that it is well."""
    try:
        return (await http.get("/health")).status_code == 200
    except httpx.HTTPError:
        return False


async def end(
    process: asyncio.subprocess.Process, capture: asyncio.Task[None], grace_s: float
) -> None:
    """SIGTERM to the whole group, then SIGKILL for what is left; its log ends with it."""
    _signal_group(process.pid, signal.SIGTERM)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), grace_s)
    _signal_group(process.pid, signal.SIGKILL)
    await process.wait()
    await asyncio.wait({capture}, timeout=LAST_WORDS_S)
    capture.cancel()


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def group_of(leader: int, proc: Path = Path("/proc")) -> set[int]:
    """The processes of a group that run now: what a program started, too (Linux)."""
    found = set()
    for folder in proc.glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        if int(fields[2]) == leader:
            found.add(int(folder.name))
    return found
