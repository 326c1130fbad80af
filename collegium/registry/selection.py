"""Which decisions are meant: to list them, to delete them, to learn from them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func

from collegium.registry.tables import DecisionRow


@dataclass(frozen=True)
class Selection:
    """All that is given has to hold; nothing given means all decisions."""

    owner: str | None = None
    application: str | None = None
    session: str | None = None
    since: datetime | None = None
    before: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """What a statement has to ask for."""
        found = []
        narrow = self.session is not None or self.application is not None
        if self.session is not None:
            found.append(DecisionRow.session == self.session)
        if self.application is not None:
            # SQLite knows nothing of the values: a call keeps it from the wider index.
            of = func.coalesce(DecisionRow.application, "") if self.session else None
            found.append((DecisionRow.application if of is None else of) == self.application)
        if self.owner is not None:
            owner = func.coalesce(DecisionRow.owner, "") if narrow else DecisionRow.owner
            found.append(owner == self.owner)
        if self.since is not None:
            found.append(DecisionRow.created_at >= self.since)
        if self.before is not None:
            found.append(DecisionRow.created_at < self.before)
        return found
