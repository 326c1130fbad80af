"""Where routes put new jobs, and the worker finds them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

INPUT = "input.jsonl"
"""The job's own lines, in its folder."""


@dataclass(frozen=True)
class Inbox:
    """The folders of jobs on this machine's disk."""

    root: Path
    news: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when there is something to do."""

    def folder(self, batch_id: str) -> Path:
        """The folder of one job."""
        return self.root / batch_id
