"""Starts, follows, restarts and ends the workers of a service."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from collegium.errors import StateUnavailable
from collegium.web.serving.parts import Parts
from collegium.web.workers.accepting import Board
from collegium.web.workers.counts import Ended, Snapshot, Together
from collegium.web.workers.engines import AskedEngines
from collegium.web.workers.given import Given
from collegium.web.workers.link import Link
from collegium.web.workers.members import Members
from collegium.web.workers.sharing import Sharing

log = logging.getLogger(__name__)
PROGRAM = "collegium.cli.worker"
BACKLOG = 2048
FIRST_REST_S, LONGEST_REST_S = 0.1, 30.0
LONG_LIVED_S = 10.0
"""A worker that lived so long is started again at once."""
COUNTED_EVERY_S = 1.0
"""What a killed worker has counted since then is lost."""
TOLD_S = 2.0
"""How long a worker may take to tell its metrics."""
GRACE_S = 10.0
"""After the time to drain, until a worker is killed."""


@dataclass
class Worker:
    """One worker, through all its lives."""

    number: int
    process: asyncio.subprocess.Process | None = None
    link: Link | None = None
    ready: bool = False
    counted: Snapshot = field(default_factory=list)


class Crew:
    """All workers of a service."""

    def __init__(self, parts: Parts, members: Members, listener: socket.socket) -> None:
        settings = parts.settings
        self._parts = parts
        self._members = members
        self._listener = listener
        self._patience_s = settings.drain_timeout_s + GRACE_S
        self._workers = [Worker(number) for number in range(1, settings.workers + 1)]
        self._engines = AskedEngines(parts.fleet)
        self._ended = Ended()
        self._lives = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._ending = asyncio.Event()
        self._complete = False
        """Whether all of them have been ready once."""
        self._temporary = tempfile.TemporaryDirectory(prefix="collegium-")  # for this user alone
        self.folder = Path(self._temporary.name)
        self._server: asyncio.Server | None = None
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
        """Listen for workers, and start all of them."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(self._connected, str(self.state_socket))
        os.chmod(self.state_socket, 0o600)
        self._listener.listen(BACKLOG)
        self._tasks = [
            asyncio.create_task(self._keep(worker), name=f"worker {worker.number}")
            for worker in self._workers
        ]
        self._tasks.append(asyncio.create_task(self._count_often(), name="metrics of workers"))

    def waits_for(self) -> str | None:
        """Describe why no request can be answered yet; None once workers are ready."""
        ready = sum(worker.ready for worker in self._workers)
        self._complete = self._complete or ready == len(self._workers)
        if self._complete and ready:
            return None
        return f"{ready} of {len(self._workers)} workers are ready"

    def ready(self) -> str:
        """Return how many of the workers are ready, such as `1 of 2`."""
        return f"{sum(worker.ready for worker in self._workers)} of {len(self._workers)}"

    async def metrics(self) -> Together:
        """The metrics of all processes together."""
        await self._count()
        others = [worker.counted for worker in self._workers]
        return Together(self._parts.metrics.registry, [*others, self._ended.snapshot()])

    async def tell(self, path: str) -> None:
        """Have all workers take over what a request to this path may have changed."""

        async def look(link: Link) -> None:
            with suppress(StateUnavailable, TimeoutError):  # it looks by itself, if later
                async with asyncio.timeout(TOLD_S):
                    await link.call("look", path)

        await asyncio.gather(*(look(w.link) for w in self._workers if w.link is not None))

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
        _, late = await asyncio.wait(self._tasks[:-1], timeout=self._patience_s)
        for worker in self._workers if late else ():
            _signal(worker, signal.SIGKILL)
        self._tasks[-1].cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            self._server.close()
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
            self._gone(worker)
            if self._ending.is_set():
                return
            lived_s = time.monotonic() - began
            rest_s = FIRST_REST_S if lived_s > LONG_LIVED_S else min(2 * rest_s, LONGEST_REST_S)
            log.error(
                "worker %d ended with status %d after %.0f s; it is started again in %.1f s",
                *(worker.number, status, lived_s, rest_s),
            )
            await self._rest(rest_s)

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), seconds)

    async def _launch(self, worker: Worker) -> asyncio.subprocess.Process:
        settings = self._parts.settings
        given = Given(
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

    def _connected(self) -> Link:
        return _Caller(self).link

    def hello(self, number: int, link: Link) -> Worker:
        """Register the connection of a worker that has just started."""
        worker = self._workers[number - 1]
        worker.link, worker.counted = link, []
        return worker

    def member(self) -> str:
        """Return a name that no earlier process of a worker had."""
        self._lives += 1
        return f"worker-{self._lives}"

    def sharing(self, member: str) -> Sharing:
        """What a worker may call of the state."""
        return Sharing(self._parts.shared, self._members.of(member))

    def look(self, member: str, asked: dict[str, int]) -> Any:
        """Tell a worker of the engines."""
        return self._engines.look(member, asked)

    def left(self, member: str) -> None:
        """The connection of a worker is gone, and so is the worker."""
        self._members.leave(member)
        self._engines.leave(member)

    def _gone(self, worker: Worker) -> None:
        self._ended.add(worker.counted)
        worker.counted, worker.link, worker.ready = [], None, False
        self._board.leave(worker.number)

    async def _count_often(self) -> None:
        while True:
            await asyncio.sleep(COUNTED_EVERY_S)
            await self._count()

    async def _count(self) -> None:
        async def count(worker: Worker) -> None:
            link = worker.link
            if link is None:
                return
            with suppress(StateUnavailable, TimeoutError):
                async with asyncio.timeout(TOLD_S):
                    found = await link.call("metrics")
                if worker.link is link:
                    worker.counted = found

        await asyncio.gather(*map(count, self._workers))


class _Caller:
    """One worker's end of a connection, from its hello on."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._member = crew.member()
        self._sharing = crew.sharing(self._member)
        self._worker: Worker | None = None
        self.link = Link(self._handle, self._lost)

    async def _handle(self, name: str, arguments: Sequence[Any]) -> Any:
        if name == "hello":
            self._worker = self._crew.hello(arguments[0], self.link)
            return None
        if name == "ready":
            if self._worker is not None:
                self._worker.ready = True
            return None
        if name == "engines":
            return self._crew.look(self._member, arguments[0])
        return await self._sharing.handle(name, arguments)

    def _lost(self) -> None:
        self._crew.left(self._member)


def _signal(worker: Worker, number: signal.Signals) -> None:
    if worker.process is not None and worker.process.returncode is None:
        with suppress(ProcessLookupError):
            worker.process.send_signal(number)
