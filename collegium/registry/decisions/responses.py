"""Stored responses, which callers continue by their ids."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from collegium.errors import DatabaseUnavailable
from collegium.registry.clock import utc_now
from collegium.registry.storage.database import Database
from collegium.registry.storage.group_commit import GroupCommit
from collegium.registry.storage.pages import Scope, owned
from collegium.registry.tables import ResponseRow, from_row, to_columns

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ResponseRecord:
    """One response in full, as two JSON texts."""

    id: str
    decision_id: str
    owner: str
    earlier: tuple[str, ...]
    """The ids of the responses before it in its conversation, oldest first."""
    bytes: int
    input: str
    response: str
    created_at: datetime = field(default_factory=utc_now)


class ResponseRegistry:
    """Kept with their decisions, and deleted with them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._commits = GroupCommit(database)
        self._response = insert(ResponseRow)

    async def add(self, record: ResponseRecord) -> None:
        """Write a response; if that fails it is dropped, with a warning."""
        try:
            await self._commits.write(self._response, to_columns(record))
        except IntegrityError:
            log.info("%s is not kept: its decision was deleted", record.id)
        except (DatabaseUnavailable, SQLAlchemyError) as exc:
            log.warning("%s is lost: %s", record.id, exc)

    async def get(self, ids: Collection[str], *, scope: Scope = None) -> dict[str, ResponseRecord]:
        """Return those of some hundreds of responses that there are within the scope."""
        found = select(ResponseRow).where(ResponseRow.id.in_(ids), owned(ResponseRow.owner, scope))
        async with self._database.session() as session:
            rows = [from_row(ResponseRecord, row) for row in await session.scalars(found)]
        return {record.id: record for record in rows}

    async def delete(self, response_id: str, *, scope: Scope = None) -> bool:
        """Delete a response; returns whether it was there. Its decision stays."""
        these = delete(ResponseRow).where(ResponseRow.id == response_id)
        these = these.where(owned(ResponseRow.owner, scope))
        async with self._database.transaction() as session:
            gone = await session.execute(these.returning(ResponseRow.id))
            return gone.scalar() is not None
