"""How routes tell the worker of their process that there is something to do."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Inbox:
    """Jobs are in the database, where the workers of other replicas look every few seconds."""

    news: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a job was made or cancelled."""
