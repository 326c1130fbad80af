"""Starts, restarts and ends the processes of a service's workers."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from collegium.web.serving.parts import Parts
from collegium.web.workers.accepting import Board
from collegium.web.workers.calls import Calls
from collegium.web.workers.counts import Together
from collegium.web.workers.given import Given
from collegium.web.workers.members import Members

log = logging.getLogger(__name__)
PROGRAM = "collegium.cli.worker"
FIRST_REST_S, LONGEST_REST_S = 0.1, 30.0
LONG_LIVED_S = 10.0
"""A worker that lived so long is started again at once."""
GRACE_S = 10.0
"""After the time to drain, until a worker is killed."""


@dataclass
class Worker:
    """One worker, through all its lives."""

    number: int
    process: asyncio.subprocess.Process | None = None


class Crew:
    """All workers of a service."""

    def __init__(self, parts: Parts, members: Members, listener: socket.socket) -> None:
        settings = parts.settings
        assert parts.shared.engines_of is not None
        self._service = parts.shared.engines_of
        self.calls = Calls(parts, members)
        self._settings = settings
        self._listener = listener
        self._patience_s = settings.drain_timeout_s + GRACE_S
        self._workers = [Worker(number) for number in range(1, settings.workers + 1)]
        self._tasks: list[asyncio.Task[None]] = []
        self._ending = asyncio.Event()
        self._complete = False
        """Whether all of them have been ready once."""
        self._temporary = tempfile.TemporaryDirectory(prefix="collegium-")  # for this user alone
        self.folder = Path(self._temporary.name)
        self._board = Board(self.folder / "board", settings.workers)

    @property
    def state_socket(self) -> Path:
        """Where workers call the owner."""
        return self.folder / "state"

    @property
    def http_socket(self) -> Path:
        """Where workers pass on requests."""
        return self.folder / "http"

    async def open(self) -> None:
        """Listen for workers and start all of them; the first that is up listens for clients."""
        await self.calls.open(self.state_socket)
        self._tasks = [
            asyncio.create_task(self._keep(worker), name=f"worker {worker.number}")
            for worker in self._workers
        ]

    def waits_for(self) -> str | None:
        """Describe why no request can be answered yet; None once workers are ready."""
        self._complete = self._complete or self.calls.ready == len(self._workers)
        if self._complete and self.calls.ready:
            return None
        return f"{self.ready()} workers are ready"

    def ready(self) -> str:
        """Return how many of the workers are ready, such as `1 of 2`."""
        return f"{self.calls.ready} of {len(self._workers)}"

    async def metrics(self) -> Together:
        """The metrics of all processes together."""
        return await self.calls.metrics()

    def terminate(self) -> None:
        """Have all workers finish their answers and end; no further connection is accepted."""
        self._ending.set()
        self._listener.close()
        for worker in self._workers:
            _signal(worker, signal.SIGTERM)

    async def close(self) -> None:
        """Wait until all workers have ended, and kill those that do not end in time."""
        self.terminate()
        if not self._tasks:  # it never began
            return self._temporary.cleanup()
        _, late = await asyncio.wait(self._tasks, timeout=self._patience_s)
        for worker in self._workers if late else ():
            _signal(worker, signal.SIGKILL)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.calls.close()
        self._temporary.cleanup()

    async def _keep(self, worker: Worker) -> None:
        rest_s = FIRST_REST_S
        while not self._ending.is_set():
            began = time.monotonic()
            try:
                worker.process = process = await self._launch(worker)
            except OSError as exc:
                log.error("worker %d can't be started: %s", worker.number, exc)
                await self._rest(LONGEST_REST_S)
                continue
            if self._ending.is_set():  # it was told to before there was a process
                _signal(worker, signal.SIGTERM)
            status = await process.wait()
            self._board.leave(worker.number)
            if self._ending.is_set():
                return
            lived_s = time.monotonic() - began
            rest_s = FIRST_REST_S if lived_s > LONG_LIVED_S else min(2 * rest_s, LONGEST_REST_S)
            log.error(
                "worker %d ended with status %d after %.0f s; it is started again in %.1f s",
                worker.number,
                status,
                lived_s,
                rest_s,
            )
            await self._rest(rest_s)

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), seconds)

    async def _launch(self, worker: Worker) -> asyncio.subprocess.Process:
        settings = self._settings
        given = Given(
            service=self._service,
            number=worker.number,
            listener=self._listener.fileno(),
            socket=str(self.state_socket),
            http=str(self.http_socket),
            board=str(self.folder / "board"),
            again=worker.process is not None,
            settings={name: getattr(settings, name) for name in ("host", "port", "workers")},
        )
        module = [sys.executable, "-m", PROGRAM]
        child = [sys.executable, "-m", "collegium.experts.child", *module]
        return await asyncio.create_subprocess_exec(
            *child,
            msgspec.json.encode(given).decode(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            pass_fds=(self._listener.fileno(),),
            start_new_session=True,  # Ctrl-C is for the owner, which tells the workers
        )


def _signal(worker: Worker, number: signal.Signals) -> None:
    if worker.process is not None and worker.process.returncode is None:
        with suppress(ProcessLookupError):
            worker.process.send_signal(number)
