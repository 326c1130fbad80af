"""What the response cache had for a request, and an answer as it is kept there."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

import msgspec

from collegium.experts.clients.events import (
    Began,
    Finish,
    Other,
    Raw,
    Reasoning,
    Text,
    ToolCall,
    Usage,
)

Status = Literal["hit", "miss", "bypass"]
Kept = Began | Raw | Text | Reasoning | ToolCall | Other | Finish | Usage
"""Events that are kept; of others, such as a plugin's own, the cache knows nothing."""


class StoredAnswer(msgspec.Struct, frozen=True):
    """A complete answer as it is kept."""

    decision_id: str
    """The decision that it was the answer to."""
    at: float
    """When it was given, seconds since 1970."""
    cost_usd: float | None
    """What it cost; None if the price is unknown."""
    events: list[Kept]

    @property
    def age_s(self) -> int:
        """How old it is, in whole seconds."""
        return max(0, round(time.time() - self.at))


@dataclass(frozen=True)
class Lookup:
    """What the cache had for a request."""

    status: Status
    key: str | None = None
    """Under which the answer is kept; None if it is not to be."""
    answer: StoredAnswer | None = None
    """Of a hit."""
