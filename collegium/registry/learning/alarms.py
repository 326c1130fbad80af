"""Alarms: problems that the service detected, for the operator."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import func, select, update

from collegium.errors import UnknownAlarm
from collegium.registry.clock import utc_now
from collegium.registry.storage.database import Database
from collegium.registry.tables import AlarmRow, from_row, to_columns

log = logging.getLogger(__name__)

AlarmKind = Literal[
    "drift", "marks_changed", "model_changed", "model_gone", "canary", "needs_a_person"
]


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm; open until somebody closes it or its cause disappears."""

    kind: AlarmKind
    detail: str
    """What happened, and what to do about it."""
    expert: str | None = None
    router: str | None = None
    lowered: float = 0.0
    """By how much the expert's quality forecasts are lowered while the alarm is open."""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    id: str = field(default_factory=lambda: f"alm_{secrets.token_hex(8)}")
    created_at: datetime = field(default_factory=utc_now)
    changed_at: datetime = field(default_factory=utc_now)
    closed_at: datetime | None = None
    closed_for: str = ""


class AlarmRegistry:
    """The alarms, in the database that all replicas share."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def raise_(self, alarm: Alarm) -> bool:
        """Write and log an alarm; False if one of the same kind, expert and router is open."""
        key = f"{alarm.kind} {alarm.expert or ''} {alarm.router or ''}"
        new = self._database.insert(AlarmRow).on_conflict_do_nothing(index_elements=["open_as"])
        async with self._database.transaction() as session:
            done: Any = await session.execute(new.values(**to_columns(alarm), open_as=key))
        if done.rowcount:
            log.warning("alarm %s (%s): %s", alarm.id, alarm.kind, alarm.detail)
        return bool(done.rowcount)

    async def close(self, alarm_id: str, reason: str) -> Alarm:
        """Close an alarm; a closed one stays as it is."""
        here = (AlarmRow.id == alarm_id) & AlarmRow.closed_at.is_(None)
        now = utc_now()
        changes: dict[str, Any] = {"closed_at": now, "changed_at": now, "closed_for": reason}
        async with self._database.transaction() as session:
            await session.execute(update(AlarmRow).where(here).values(open_as=None, **changes))
            row = await session.get(AlarmRow, alarm_id)
            if row is None:
                raise UnknownAlarm(f"no alarm has the id '{alarm_id}'", "alarm_id")
            return from_row(Alarm, row)

    async def list(self, *, open_only: bool = False, limit: int = 200) -> tuple[Alarm, ...]:
        """Return the latest alarms, newest first."""
        newest = AlarmRow.created_at.desc(), AlarmRow.id.desc()
        found = select(AlarmRow).order_by(*newest).limit(limit)
        if open_only:
            found = found.where(AlarmRow.open_as.is_not(None))
        async with self._database.session() as session:
            return tuple(from_row(Alarm, row) for row in await session.scalars(found))

    async def revision(self) -> datetime | None:
        """Return when any alarm last changed."""
        async with self._database.session() as session:
            latest: datetime | None = await session.scalar(select(func.max(AlarmRow.changed_at)))
        return latest
