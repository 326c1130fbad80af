"""Takes connections from a listener that several processes share, so that each has its part.

The kernel offers a new connection to every waiting process, and the first one takes a whole burst:
of 16 connections, one of two processes often had all. A queue for each process (SO_REUSEPORT) would
lose the queued connections of a process that is killed (docs/decisions/0023-workers.md).
"""

from __future__ import annotations

import asyncio
import mmap
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

BACKLOG = 2048
AFTER_S = 0.002
"""How long a process with more connections than another leaves a new one to that one."""
REST_S = 0.1
"""Pause where no connection can be opened for now, as with too many open files."""
SLOT = struct.Struct("I")
ABSENT = 2**32 - 1


class Board:
    """How many connections each worker has, in memory that all of them see."""

    def __init__(self, path: Path, workers: int) -> None:
        size = SLOT.size * workers
        if not path.exists():
            path.write_bytes(SLOT.pack(ABSENT) * workers)
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), size)

    def note(self, number: int, connections: int) -> None:
        """Store the number of connections of a worker."""
        SLOT.pack_into(self._memory, SLOT.size * (number - 1), connections)

    def leave(self, number: int) -> None:
        """Mark a worker as accepting no more connections."""
        self.note(number, ABSENT)

    def fewest(self) -> int:
        """Return the lowest number of connections that any worker has."""
        counts = [int(count) for (count,) in SLOT.iter_unpack(self._memory)]
        return min(counts)


class Accepting:
    """Accepts one connection at a time, and leaves it to a worker that has fewer."""

    def __init__(
        self,
        listener: socket.socket,
        make: Callable[[], asyncio.Protocol],
        connections: Callable[[], int],
        board: Board,
        number: int,
    ) -> None:
        self._listener = listener
        self._make = make
        self._connections = connections
        self._board = board
        self._number = number
        self._loop = asyncio.get_running_loop()
        self._later: asyncio.TimerHandle | None = None
        self._opening: set[asyncio.Task[object]] = set()
        self._open = False

    def start(self) -> None:
        """Start accepting connections, which are refused until the first worker does.

        Those that wait for a process still to be imported would be answered seconds late.
        """
        self._open = True
        self._listener.listen(BACKLOG)
        self._listener.setblocking(False)
        self.note()
        self._loop.add_reader(self._listener.fileno(), self._offered)

    def note(self) -> None:
        """Publish the number of connections of this process."""
        if self._open:
            self._board.note(self._number, self._connections() + len(self._opening))

    def close(self) -> None:
        """Stop accepting connections."""
        self._open = False
        self._board.leave(self._number)
        if self._later is not None:
            self._later.cancel()
        self._loop.remove_reader(self._listener.fileno())

    def _offered(self) -> None:
        self.note()
        if self._connections() + len(self._opening) > self._board.fewest():
            self._pause(AFTER_S)
        else:
            self._accept()

    def _pause(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener.fileno())
        self._later = self._loop.call_later(seconds, self._resume)

    def _resume(self) -> None:
        self._loop.add_reader(self._listener.fileno(), self._offered)
        self._accept()  # whoever has fewer was too busy to take it

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another worker has it
        except OSError:  # too many open files
            self._pause(REST_S)
            return
        connection.setblocking(False)
        if connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = self._loop.create_task(self._opened(connection))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)
        self.note()

    async def _opened(self, connection: socket.socket) -> None:
        with suppress(OSError):  # the client is gone already
            await self._loop.connect_accepted_socket(self._make, connection)
