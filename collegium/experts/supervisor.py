"""Keep one vLLM server running: start, wait for readiness, watch, restart with backoff, stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx

from collegium.errors import ExpertUnavailable
from collegium.experts.vllm import EngineSpec, command, environment, free_port

State = Literal["starting", "ready", "failed", "stopped"]
Listener = Callable[["Status"], Awaitable[None]]

USUAL_START_S = 40.0  # eager mode, 2 cores (measured 25 to 45 s)
HEALTH_EVERY_S = 5.0
HEALTH_TIMEOUT_S = 20.0
HEALTH_STRIKES = 3  # silent that often in a row: hung
STOP_GRACE_S = 10.0
LONGEST_BACKOFF_S = 60.0


@dataclass(frozen=True)
class Status:
    """What an engine is doing now."""

    state: State
    detail: str
    base_url: str
    pid: int | None = None


class Supervisor:
    """One engine's process and its life. `start` returns at once; `wait_ready` waits."""

    def __init__(
        self,
        spec: EngineSpec,
        log: Path,
        *,
        start_timeout_s: float = 300.0,
        listener: Listener | None = None,
    ) -> None:
        self.spec = spec
        self.log = log
        self.incarnation = 0
        """Counts starts: what was loaded into an earlier process is gone."""
        self.status = Status("stopped", "not started", "")
        self._start_timeout_s = start_timeout_s
        self._listener = listener
        self._usual_start_s = USUAL_START_S
        self._since = time.monotonic()
        self._changed = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """The engine's name in the registry."""
        return self.spec.name

    async def start(self) -> None:
        """Begin to supervise."""
        self._task = asyncio.create_task(self._supervise(), name=f"supervise {self.name}")

    async def stop(self) -> None:
        """End the process and everything it started."""
        if self._task is None:
            return
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._task = None
        await self._become(Status("stopped", "stopped", ""))

    async def wait_ready(self) -> None:
        """Return when the engine answers."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.status.state == "ready")

    def retry_after_s(self) -> int:
        """A guess at when the engine will answer, seconds."""
        return max(1, round(self._usual_start_s - (time.monotonic() - self._since)))

    def require_ready(self, expert: str) -> str:
        """Return the engine's address, or say in words why it can't answer now."""
        if self.status.state == "ready":
            return self.status.base_url
        message = f"its engine '{self.name}' is {self.status.state}: {self.status.detail}"
        raise ExpertUnavailable(expert, message, self.retry_after_s())

    async def _supervise(self) -> None:
        failures = 0
        while True:
            self._since = time.monotonic()
            why, was_ready = await self._live_once()
            failures = 1 if was_ready else failures + 1
            delay = min(LONGEST_BACKOFF_S, 2.0 ** (failures - 1))
            await self._become(Status("failed", f"{why}; restarting in {delay:.0f} s", ""))
            await asyncio.sleep(delay)

    async def _live_once(self) -> tuple[str, bool]:
        """Run the process to its end; return why it ended and whether it ever was ready."""
        port = self.spec.port or free_port(self.spec.host)
        base_url = f"http://{self.spec.host}:{port}"
        process = await self._launch(port)
        self.incarnation += 1
        await self._become(Status("starting", "loading the model", base_url, process.pid))
        try:
            async with httpx.AsyncClient(base_url=base_url, timeout=HEALTH_TIMEOUT_S) as http:
                why = await self._until_ready(process, http)
                if why is not None:
                    return f"{why} ({self._last_words()})", False
                self._usual_start_s = time.monotonic() - self._since
                await self._become(Status("ready", "ready", base_url, process.pid))
                return await self._until_dead(process, http), True
        finally:
            await asyncio.shield(_end(process))

    async def _launch(self, port: int) -> asyncio.subprocess.Process:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *command(self.spec, port),
                env=environment(self.spec),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # its own process group: Ctrl-C is ours to pass on
            )

    async def _until_ready(
        self, process: asyncio.subprocess.Process, http: httpx.AsyncClient
    ) -> str | None:
        """Wait for readiness; return None, or why it will not come."""
        deadline = time.monotonic() + self._start_timeout_s
        while time.monotonic() < deadline:
            if process.returncode is not None:
                return f"the engine ended with status {process.returncode} while starting"
            if await _healthy(http):
                return None
            await asyncio.sleep(0.25)
        return f"the engine was not ready within {self._start_timeout_s:.0f} s"

    async def _until_dead(
        self, process: asyncio.subprocess.Process, http: httpx.AsyncClient
    ) -> str:
        """Watch a ready process; return why it can no longer be used."""
        strikes = 0
        while strikes < HEALTH_STRIKES:
            with contextlib.suppress(TimeoutError):
                status = await asyncio.wait_for(process.wait(), HEALTH_EVERY_S)
                return f"the engine ended with status {status}"
            strikes = 0 if await _healthy(http) else strikes + 1
        return "the engine stopped answering"

    async def _become(self, status: Status) -> None:
        async with self._changed:
            self.status = status
            self._changed.notify_all()
        if self._listener is not None:
            await self._listener(status)

    def _last_words(self) -> str:
        """The last line of the log that looks like an error, to tell people."""
        with contextlib.suppress(OSError):
            lines = self.log.read_text(errors="replace").splitlines()[-200:]
            errors = [line.strip() for line in lines if "Error" in line]
            if errors:
                return errors[-1][-300:]
        return f"see {self.log}"


async def _healthy(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/health")).status_code == 200
    except httpx.HTTPError:
        return False


async def _end(process: asyncio.subprocess.Process) -> None:
    """SIGTERM to the whole group, then SIGKILL for what is left."""
    _signal_group(process.pid, signal.SIGTERM)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), STOP_GRACE_S)
    _signal_group(process.pid, signal.SIGKILL)
    await process.wait()


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
