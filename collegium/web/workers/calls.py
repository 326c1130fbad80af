"""Calls between the owner of a service and its workers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from collegium.errors import StateUnavailable
from collegium.registry.background import Repeating
from collegium.web.serving.parts import Parts
from collegium.web.workers.counts import Ended, Snapshot, Together
from collegium.web.workers.engines import AskedEngines
from collegium.web.workers.link import Link
from collegium.web.workers.members import Members
from collegium.web.workers.sharing import Sharing

COUNTED_EVERY_S = 1.0
"""What a killed worker has counted since then is lost."""
TIMEOUT_S = 2.0
"""How long a worker may take to answer a call."""


class Calls:
    """The owner's connections to its workers: it answers their calls, and calls all of them."""

    def __init__(self, parts: Parts, members: Members) -> None:
        self.engines = AskedEngines(parts.fleet)
        self._parts = parts
        self._members = members
        self._connected: set[Connection] = set()
        self._accepted = 0
        self._ended = Ended()
        self._server: asyncio.Server | None = None
        self._counting = Repeating(
            self._count,
            COUNTED_EVERY_S,
            name="metrics of workers",
            failing="the metrics of workers are not read for now",
        )

    async def open(self, socket: Path) -> None:
        """Listen for workers on a Unix socket that only this user can open."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(self._accept, str(socket))
        os.chmod(socket, 0o600)
        self._counting.start()

    async def close(self) -> None:
        """Listen no more."""
        await self._counting.close()
        if self._server is not None:
            self._server.close()

    @property
    def ready(self) -> int:
        """The number of workers that can answer requests."""
        return sum(connection.ready for connection in self._connected)

    async def tell(self, path: str) -> None:
        """Have all workers take over what a request to this path may have changed."""

        async def look(connection: Connection) -> None:
            with suppress(StateUnavailable, TimeoutError):  # it looks by itself, if later
                await connection.call("look", path)

        await asyncio.gather(*map(look, self._connected))

    async def metrics(self) -> Together:
        """The metrics of all processes together."""
        await self._count()
        counted = [connection.counted for connection in self._connected]
        return Together(self._parts.metrics.registry, [*counted, self._ended.snapshot()])

    def hello(self, connection: Connection) -> None:
        """Include a worker that has started."""
        self._connected.add(connection)

    def lost(self, connection: Connection) -> None:
        """A worker is gone. What it counted stays, and others settle what it had reserved."""
        self._members.leave(connection.member)
        self.engines.leave(connection.member)
        if connection in self._connected:
            self._connected.discard(connection)
            self._ended.add(connection.counted)

    def _accept(self) -> Link:
        self._accepted += 1
        member = f"worker-{self._accepted}"  # a name that no earlier process had
        sharing = Sharing(self._parts.shared, self._members.of(member))
        return Connection(self, member, sharing).link

    async def _count(self) -> None:
        async def count(connection: Connection) -> None:
            with suppress(StateUnavailable, TimeoutError):
                connection.counted = await connection.call("metrics")

        await asyncio.gather(*map(count, self._connected))


class Connection:
    """The connection of one worker's process."""

    def __init__(self, calls: Calls, member: str, sharing: Sharing) -> None:
        self.member = member
        self.ready = False
        self.counted: Snapshot = []
        """Its metrics, as it last told them."""
        self.link = Link(self._handle, self._lost)
        self._calls = calls
        self._sharing = sharing

    async def call(self, name: str, *arguments: Any) -> Any:
        """Call the worker; raise StateUnavailable if it is gone, TimeoutError if it is slow."""
        async with asyncio.timeout(TIMEOUT_S):
            return await self.link.call(name, *arguments)

    async def _handle(self, name: str, arguments: Sequence[Any]) -> Any:
        if name == "hello":
            return self._calls.hello(self)
        if name == "ready":
            self.ready = True
            return None
        if name == "engines":
            return self._calls.engines.look(self.member, arguments[0])
        return await self._sharing.handle(name, arguments)

    def _lost(self) -> None:
        self._calls.lost(self)
