"""Keep one vLLM server running: start, wait for readiness, watch, restart with backoff, stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import httpx

from collegium.errors import ExpertUnavailable, SetupError
from collegium.experts import vllm
from collegium.experts.memory import has_room_for_weights
from collegium.experts.process import Command, EngineProcess, Launcher, LocalLauncher, healthy
from collegium.experts.progress import Progress
from collegium.experts.vllm import EngineSpec

log = logging.getLogger(__name__)

State = Literal["starting", "ready", "failed", "stopped", "asleep"]

USUAL_START_S = 40.0  # eager mode, 2 cores (measured 25 to 45 s)
USUAL_WAKE_S = 3.0  # assumed: no GPU was there to measure it
DRAIN_POLL_S = 0.1


@dataclass(frozen=True)
class Patience:
    """The supervisor's timeouts, seconds."""

    poll_s: float = 0.25
    health_every_s: float = 5.0
    health_timeout_s: float = 20.0
    strikes: int = 3
    """Silent that often in a row: hung."""
    stop_grace_s: float = 10.0
    first_backoff_s: float = 1.0
    longest_backoff_s: float = 60.0
    most_failures: int = 10
    """Consecutive failed starts after which the engine stays stopped."""
    stall_s: float = 60.0
    """An engine with requests that makes no token for so long is hung, whatever it says."""

    def backoff_s(self, failures: int) -> float:
        """The wait before the next start, doubled with each failure in a row."""
        doublings = min(failures - 1, 30)  # more would only overflow
        return min(self.longest_backoff_s, self.first_backoff_s * 2.0**doublings)


@dataclass(frozen=True)
class Status:
    """The state of an engine."""

    state: State
    detail: str
    base_url: str
    pid: int | None = None
    node: str = ""
    """The machine that the engine runs on; empty for this one."""


class Supervisor:
    """Supervises one engine's process. `start` returns immediately; `wait_ready` waits."""

    def __init__(
        self,
        spec: EngineSpec,
        log: Path,
        *,
        start_timeout_s: float = 300.0,
        command: Command = vllm.command,
        launcher: Launcher | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.spec = spec
        self.log = log
        self.incarnation = 0
        """Counts starts, and wakes that lost what was loaded: adapters have to be loaded again."""
        self.status = Status("stopped", "not started", "")
        self.in_flight = 0
        """Requests that it was given and has not ended."""
        self.wanted = 0
        """The same, and those that wait for their turn."""
        self.asked_elsewhere = 0
        """The same of other processes, which tell how many they have."""
        self.elsewhere_s = 0.0
        """How long ago they may have said so, seconds."""
        self._draining = False
        self._resting = False
        self._start_timeout_s = start_timeout_s
        self._launcher = launcher or LocalLauncher(command)
        self._patience = patience or Patience()
        self._usual_start_s = USUAL_START_S
        self._since = time.monotonic()
        self._changed = asyncio.Condition()
        self._watchers: list[Callable[[Status], Awaitable[None]]] = []
        self._task: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """The engine's name in the registry."""
        return self.spec.name

    @property
    def slots(self) -> int:
        """Requests that it can run at once now."""
        return self.spec.max_sequences

    @property
    def most_slots(self) -> int:
        """Requests that it can run at once when it has grown as far as it may."""
        return self.slots

    @property
    def replicas(self) -> tuple[Supervisor, ...]:
        """The processes that answer for it: this one, unless it has several."""
        return (self,)

    def watch(self, watcher: Callable[[Status], Awaitable[None]]) -> None:
        """Call a function with each new status."""
        self._watchers.append(watcher)

    @property
    def draining(self) -> bool:
        """Whether it takes no new requests."""
        return self._draining

    @property
    def is_busy(self) -> bool:
        """Whether it has requests, of any process."""
        return self.in_flight + self.asked_elsewhere > 0

    async def start(self) -> None:
        """Start or resume supervision; wake the engine if it sleeps."""
        if self.status.state == "asleep" and await self._woken():
            return
        if self._task is not None and not self._task.done():
            return
        self._draining = self._resting = False
        self._task = asyncio.create_task(self._supervise(), name=f"supervise {self.name}")

    async def rest(self) -> None:
        """Release the device's memory: sleep if configured, otherwise stop."""
        from collegium.experts.sleeping import has_freed, put_to_sleep  # most engines never do

        level, status = self.spec.engine.sleep_level, self.status
        if not level or status.state != "ready":
            return await self.stop()
        if level == 1 and not has_room_for_weights(self.spec):
            log.warning("engine %s is stopped: no memory to keep its weights in", self.name)
            return await self.stop()
        self._resting = True
        await self._become(replace(status, state="asleep", detail=f"asleep (level {level})"))
        try:
            await put_to_sleep(status.base_url, self.spec.secret, level)
        except httpx.HTTPError as exc:
            log.warning("engine %s is stopped, for it does not sleep: %s", self.name, exc)
            return await self.stop()
        if not await has_freed(self.spec, status.pid):
            await self.stop()

    async def _woken(self) -> bool:
        """Wake the engine; return False if it has to be started anew."""
        from collegium.experts.sleeping import has_grown, wake

        status, level = self.status, self.spec.engine.sleep_level
        try:
            await wake(status.base_url, self.spec.secret, level)
        except httpx.HTTPError as exc:
            if self._draining:  # somebody ends it
                return True
            log.warning("engine %s is started anew, for it does not wake: %s", self.name, exc)
            await self.stop()
            return False
        if await has_grown(self.spec, status.pid):  # a new process takes no more than its share
            await self.stop()
            return False
        self._resting = False
        self.incarnation += level == 2
        await self._become(replace(status, state="ready", detail="ready"))
        return True

    async def decline(self, why: str) -> None:
        """Do not start, and tell those who ask why."""
        await self._become(Status("stopped", why, ""))

    async def stop(self) -> None:
        """End the process and everything it started."""
        if self._task is None:
            return
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._task = None
        await self._become(Status("stopped", "stopped", ""))

    async def drain(self, patience_s: float) -> None:
        """Take no new requests, let those end that it has, for so long at most, then stop."""
        self._draining = True
        deadline = time.monotonic() + patience_s
        await asyncio.sleep(min(self.elsewhere_s, patience_s))
        while self.is_busy and time.monotonic() < deadline:
            await asyncio.sleep(DRAIN_POLL_S)
        await self.stop()

    def seat(self, expert: str, body: Mapping[str, Any] | None = None) -> Supervisor:
        """Return the replica that is to answer a request; raise ExpertUnavailable if none can."""
        self.require_ready(expert)
        return self

    def has_another(self) -> bool:
        """Whether a request that failed before it was answered may go to another replica."""
        return False

    @contextlib.contextmanager
    def asked(self, seat: Supervisor | None = None) -> Iterator[None]:
        """Count a request at a seat: an engine that has some must make tokens."""
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1

    @contextlib.asynccontextmanager
    async def awaited(self) -> AsyncIterator[None]:
        """Count a request from when it is queued to its end."""
        self.wanted += 1
        try:
            yield
        finally:
            self.wanted -= 1

    async def wait_settled(self) -> Status:
        """Return when it is ready, or failed to become so."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.status.state in ("ready", "failed"))
        return self.status

    async def wait_ready(self) -> None:
        """Return when the engine answers."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.status.state == "ready")

    def retry_after_s(self) -> int:
        """A guess at when the engine will answer, seconds."""
        return max(1, round(self._usual_start_s - (time.monotonic() - self._since)))

    def require_ready(self, expert: str) -> str:
        """Return the engine's address, or say in words why it can't answer now."""
        if self.status.state == "ready" and not self._draining:
            return self.status.base_url
        if self._draining:
            words = f"its engine '{self.name}' takes no new requests"
            raise ExpertUnavailable(expert, words, unreachable=True)
        message = f"its engine '{self.name}' is {self.status.state}"
        detail = self.status.detail
        raise ExpertUnavailable(
            expert, message, self.retry_after_s(), detail=detail, unreachable=True
        )

    async def _supervise(self) -> None:
        failures = 0
        while True:
            self._since = time.monotonic()
            why, was_ready = await self._live_once()
            if self._resting:  # its memory is not ours to take again
                return await self._become(Status("stopped", f"{why} while it slept", ""))
            failures = 1 if was_ready else failures + 1
            if failures >= self._patience.most_failures:
                given_up = f"{why}; given up after {failures} starts in vain"
                return await self._become(Status("failed", given_up, ""))
            delay = self._patience.backoff_s(failures)
            self._since = time.monotonic() + delay  # nobody need ask before the next start
            await self._become(Status("failed", f"{why}; restarting in {delay:.0f} s", ""))
            await asyncio.sleep(delay)

    async def _live_once(self) -> tuple[str, bool]:
        """Run the process to its end; return why it ended and whether it ever was ready."""
        if self._launcher.waits:
            await self._become(Status("starting", self._launcher.waits, ""))
        try:
            process = await self._launcher.launch(self.spec, self.log)
        except SetupError as exc:
            return str(exc), False
        try:
            self.incarnation += 1
            base_url, node = process.base_url, process.node
            loading = Status("starting", "loading the model", base_url, process.pid, node)
            await self._become(loading)
            # Our own machine or cluster: never by way of the proxy that the environment may name.
            timeout = self._patience.health_timeout_s
            async with httpx.AsyncClient(
                base_url=base_url, timeout=timeout, trust_env=False
            ) as http:
                why = await self._until_ready(process, http)
                if why is not None:
                    said = await process.last_error() or f"see {self.log}"
                    return f"{why} ({said})", False
                self._usual_start_s = time.monotonic() - self._since
                await self._become(replace(loading, state="ready", detail="ready"))
                why = await self._until_dead(process, http)
                await self._become(Status("failed", why, ""))  # at once: to end it may take long
                return why, True
        finally:
            await asyncio.shield(process.end(self._patience.stop_grace_s))

    async def _until_ready(self, process: EngineProcess, http: httpx.AsyncClient) -> str | None:
        """Wait for readiness; return None, or why it will not be reached."""
        deadline = time.monotonic() + self._start_timeout_s
        while time.monotonic() < deadline:
            if process.ended is not None:
                return f"{process.ended} while starting"
            if await healthy(http):
                return None
            await asyncio.sleep(self._patience.poll_s)
        return f"the engine was not ready within {self._start_timeout_s:.0f} s"

    async def _until_dead(self, process: EngineProcess, http: httpx.AsyncClient) -> str:
        """Watch a ready process; return why it can no longer be used."""
        strikes, progress = 0, Progress(self._patience.stall_s)
        while strikes < self._patience.strikes:
            with contextlib.suppress(TimeoutError):
                return await asyncio.wait_for(process.wait(), self._patience.health_every_s)
            strikes = 0 if await healthy(http) else strikes + 1
            if await progress.stalled(http, busy=self.is_busy):
                return f"the engine made no token for {self._patience.stall_s:.0f} s"
        return "the engine stopped answering"

    async def _become(self, status: Status) -> None:
        async with self._changed:
            self.status = status
            self._changed.notify_all()
        for watcher in self._watchers:
            await watcher(status)
