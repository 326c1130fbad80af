"""A transport that sends what is written at nearly the same time in one piece."""

from __future__ import annotations

import asyncio
from typing import Any

MOST = 65_536
"""Bytes that are kept at most, as many as asyncio's own buffer before it asks writers to pause."""


class Corked:
    """A transport that writes when its loop's turn is over, not at every call.

    uvloop writes to the socket at every call, which takes 15 µs: a response's head and body became
    two packets, and a stream of sixteen events that the upstream sent in one became eighteen.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._kept: list[bytes] = []
        self._bytes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send these bytes soon."""
        if not self._kept:
            self._loop.call_soon(self.flush)
        self._kept.append(data)
        self._bytes += len(data)
        if self._bytes > MOST:
            self.flush()

    def close(self) -> None:
        """Close the connection once everything is sent."""
        self.flush()
        self._transport.close()

    def abort(self) -> None:
        """Close the connection at once."""
        self._kept.clear()
        self._transport.abort()

    def flush(self) -> None:
        """Send what is kept now."""
        kept, self._kept, self._bytes = self._kept, [], 0
        if kept and not self._transport.is_closing():
            self._transport.write(kept[0] if len(kept) == 1 else b"".join(kept))
