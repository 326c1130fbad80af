"""The applications that have been seen, with their names and policies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any

import numpy as np
from sqlalchemy import RowMapping, case, delete, func, select

from collegium.errors import ApplicationNotFound
from collegium.registry.application import Application
from collegium.registry.storage.database import Database
from collegium.registry.tables import ApplicationRow, to_columns

AT_ONCE = 500
"""Rows of one statement: SQLite takes 32,766 values."""
_COLUMNS = [ApplicationRow.__table__.c[field.name] for field in fields(Application)]
_DECIDED = {"name", "policy", "merged_into", "pinned"}
"""The fields that people set; observations never overwrite them."""


class ApplicationRegistry:
    """The applications by key; several replicas may add to them at once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(
        self,
        *,
        since: datetime | None = None,
        limit: int | None = None,
        signatures: bool = True,
    ) -> tuple[Application, ...]:
        """Return all applications, or those changed since a time, the most recently seen first.

        Without signatures, which people don't read, they take a tenth of the memory.
        """
        chosen = [c for c in _COLUMNS if signatures or c.name != "signature"]
        rows = select(*chosen).order_by(ApplicationRow.last_seen.desc(), ApplicationRow.key)
        if since is not None:
            rows = rows.where(ApplicationRow.changed_at >= since)
        async with self._database.session() as session:
            found = await session.execute(rows.limit(limit))
            return tuple(_application(row) for row in found.mappings())

    async def get(self, key: str) -> Application:
        """Return one application."""
        async with self._database.session() as session:
            rows = await session.execute(select(*_COLUMNS).where(ApplicationRow.key == key))
            for row in rows.mappings():
                return _application(row)
            keys = sorted(await session.scalars(select(ApplicationRow.key)))
        close = get_close_matches(key, keys)
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        raise ApplicationNotFound(f"no application has the key '{key}'{hint}")

    async def keep(self, applications: Iterable[Application]) -> None:
        """Merge observations: `seen` is added to the stored count; decisions of people are kept."""
        now = datetime.now(UTC)
        rows = [_columns(application, now) for application in applications]
        insert = self._database.insert(ApplicationRow)
        new, old = insert.excluded, ApplicationRow.__table__.c
        merged = new.merged_into.is_not(None) & (func.coalesce(old.merged_into, "") == "")
        adding = insert.on_conflict_do_update(
            index_elements=[old.key],
            set_={
                "seen": old.seen + new.seen,
                "variants": case((new.variants > old.variants, new.variants), else_=old.variants),
                "signature": new.signature,
                "last_seen": case(
                    (new.last_seen > old.last_seen, new.last_seen), else_=old.last_seen
                ),
                "merged_into": case(
                    (old.pinned, old.merged_into),
                    else_=func.coalesce(new.merged_into, old.merged_into),
                ),
                # Counts alone are no news, or replicas would read everything again and again.
                "changed_at": case((merged, new.changed_at), else_=old.changed_at),
            },
        )
        for start in range(0, len(rows), AT_ONCE):
            async with self._database.transaction() as session:
                await session.execute(adding, rows[start : start + AT_ONCE])

    async def change(self, key: str, /, **changes: Any) -> Application:
        """Write what a person decided, and return the application."""
        assert changes.keys() <= _DECIDED
        await self.get(key)
        changed = changes | {"changed_at": datetime.now(UTC)}
        table = ApplicationRow.__table__
        statement = table.update().where(table.c.key == key).values(**changed)  # type: ignore[attr-defined]
        async with self._database.transaction() as session:
            await session.execute(statement)
        return await self.get(key)

    async def remove(self, keys: Sequence[str]) -> None:
        """Forget applications, unless another replica saw them again."""
        for start in range(0, len(keys), AT_ONCE):
            these = ApplicationRow.key.in_(keys[start : start + AT_ONCE])
            rare = delete(ApplicationRow).where(these, ApplicationRow.seen <= 1)
            async with self._database.transaction() as session:
                await session.execute(rare)


def _columns(application: Application, now: datetime) -> Mapping[str, Any]:
    signature = np.asarray(application.signature, dtype="<u8").tobytes()
    columns = to_columns(application) | {"signature": signature, "changed_at": now}
    return columns | {"policy": dict(application.policy)}


def _application(row: RowMapping) -> Application:
    kept = row.get("signature", b"")
    return Application(**{**row, "signature": np.frombuffer(kept, dtype="<u8").astype(np.uint64)})
