"""What the owner gives a worker at its start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Given:
    """All of it, as JSON on the worker's command line; so there are no secrets in it."""

    service: str
    """Names the owner among the services of a Redis; each start has a name of its own."""
    number: int
    listener: int
    """The descriptor of the socket that all workers share."""
    socket: str
    """Where the owner is called."""
    http: str
    """Where requests are passed on to the owner."""
    board: str
    """The file that says how many connections each worker has."""
    again: bool
    """Whether a worker of this number has died."""
    settings: dict[str, Any]
    """Settings that were given on the owner's command line."""
