"""Which decisions are meant: to list them, to delete them, to learn from them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func

from collegium.registry.tables import DecisionRow


@dataclass(frozen=True)
class Selection:
    """All that is given has to hold; nothing given means all decisions."""

    decision_id: str | None = None
    owner: str | None = None
    application: str | None = None
    session: str | None = None
    since: datetime | None = None
    before: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """What a statement has to ask for."""
        narrowest_first = (
            (DecisionRow.id, self.decision_id),
            (DecisionRow.session, self.session),
            (DecisionRow.application, self.application),
            (DecisionRow.owner, self.owner),
        )
        given = [(column, value) for column, value in narrowest_first if value is not None]
        # SQLite does not know how values are spread: the call keeps it from the wider indexes.
        found = [
            (func.coalesce(column, "") if place else column) == value
            for place, (column, value) in enumerate(given)
        ]
        if self.since is not None:
            found.append(DecisionRow.created_at >= self.since)
        if self.before is not None:
            found.append(DecisionRow.created_at < self.before)
        return found
