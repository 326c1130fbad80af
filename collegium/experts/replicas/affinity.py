"""Which replica gets a request: the one whose prompt cache knows its beginning, unless it is busy.

Rendezvous hashing (Thaler and Ravishankar 1998) of the beginning: replicas that come and go move
only their own conversations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, Protocol, TypeVar

import msgspec

LONGEST = 4096
"""Bytes of the beginning that count."""
IMBALANCE = 0.25
"""The share of its slots by which a replica may be busier than the idlest and still be asked."""


class Seat(Protocol):
    """A replica: how busy it is, and of how many requests at once."""

    in_flight: int

    @property
    def slots(self) -> int: ...


Kind = TypeVar("Kind", bound=Seat)


def beginning(body: Mapping[str, Any] | None) -> bytes:
    """What all requests of a conversation begin with: up to its first message of a user."""
    if body is None:
        return b""
    messages, first = body.get("messages"), []
    if not isinstance(messages, Sequence) or isinstance(messages, str):
        return _digest(msgspec.json.encode(body.get("input"), enc_hook=str)[:LONGEST])
    for message in messages:
        first.append(message)
        if isinstance(message, Mapping) and message.get("role") == "user":
            break
    parts = (body.get("tools"), first)
    return _digest(msgspec.json.encode(parts, enc_hook=str)[:LONGEST])


def chosen(key: bytes, replicas: Mapping[int, Kind]) -> Kind:
    """The replica for a beginning, of those that are ready, by their numbers."""
    idlest = min(replica.in_flight for replica in replicas.values())
    ranked = sorted(replicas, key=lambda number: _digest(key, number), reverse=True)
    for number in ranked:
        replica = replicas[number]
        ahead = replica.in_flight - idlest
        if replica.in_flight < replica.slots and ahead <= max(1, IMBALANCE * replica.slots):
            return replica
    return min(replicas.values(), key=lambda replica: replica.in_flight)


def _digest(data: bytes, number: int = 0) -> bytes:
    return blake2b(data, digest_size=8, key=number.to_bytes(4, "big")).digest()
