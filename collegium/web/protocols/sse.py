"""Server-sent events."""

from __future__ import annotations

from collegium.experts.clients.events import Json
from collegium.web.lean_route import to_bytes


def data_event(data: Json) -> bytes:
    """Return an unnamed event."""
    return b"data: %b\n\n" % to_bytes(data)


def named_event(name: str, data: Json) -> bytes:
    """Return a named event, as in Anthropic's and OpenAI's newer protocols."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), to_bytes(data))
