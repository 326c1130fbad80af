"""Leases: work that only one of several replicas may do at a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import or_, update

from collegium.registry.storage.database import Database
from collegium.registry.tables import LeaseRow


class Leases:
    """Leases in the database that all replicas share."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def hold(self, name: str, holder: str, seconds: float) -> bool:
        """Take or extend a lease; return False while another replica holds it."""
        now = datetime.now(UTC)
        until = now + timedelta(seconds=seconds)
        free = or_(LeaseRow.holder == holder, LeaseRow.until < now)
        this = update(LeaseRow).where(LeaseRow.name == name, free)
        first = self._database.insert(LeaseRow).on_conflict_do_nothing()
        async with self._database.transaction() as session:
            done: Any = await session.execute(this.values(holder=holder, until=until))
            if not done.rowcount:
                values = {"name": name, "holder": holder, "until": until}
                done = await session.execute(first.values(**values))
            return bool(done.rowcount)

    async def release(self, name: str, holder: str) -> None:
        """Release a lease, so that another replica can take it immediately."""
        mine = (LeaseRow.name == name) & (LeaseRow.holder == holder)
        over = update(LeaseRow).where(mine).values(until=datetime.now(UTC))
        async with self._database.transaction() as session:
            await session.execute(over)
