"""Versions of the router: candidates, what each one serves now, and their files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import defer

from collegium.errors import UnknownRouterVersion
from collegium.registry.clock import utc_now
from collegium.registry.storage.database import Database
from collegium.registry.tables import RouterVersionRow, from_row

VersionStatus = Literal["candidate", "shadow", "canary", "serving", "retired", "rolled_back"]
ACTIVE: tuple[VersionStatus, ...] = ("shadow", "canary", "serving")
"""Versions that every replica loads."""
WITHOUT_FILES = select(RouterVersionRow).options(
    defer(RouterVersionRow.card), defer(RouterVersionRow.arrays)
)


@dataclass(frozen=True, slots=True)
class RouterVersion:
    """One fitted router. As a canary it decides `share` of the traffic of `applications`; an empty
    list means all applications.
    """

    id: str
    owner: str
    run_id: str | None = None
    report: Mapping[str, Any] | None = None
    status: VersionStatus = "candidate"
    share: float = 0.0
    applications: Sequence[str] = ()
    automatic: bool = False
    """Whether a canary moves on to larger shares automatically."""
    served: bool = False
    """Whether it ever decided all of the traffic."""
    detail: str = ""
    """The reason for its status, if a person did not choose it."""
    created_at: datetime = field(default_factory=utc_now)
    changed_at: datetime = field(default_factory=utc_now)


class RouterVersions:
    """The versions, in the database that all replicas share."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, version: RouterVersion, card: bytes, arrays: bytes) -> None:
        """Write a new version with its two files."""
        columns = {name: getattr(version, name) for name in RouterVersion.__slots__}
        columns["applications"] = list(version.applications)
        rows = insert(RouterVersionRow)
        await self._database.write(rows, columns | {"card": card, "arrays": arrays})

    async def list(self, *, active: bool = False) -> tuple[RouterVersion, ...]:
        """Return all versions without their files, newest first, or the active ones alone."""
        found = WITHOUT_FILES
        if active:
            found = found.where(RouterVersionRow.status.in_(ACTIVE))
        newest = found.order_by(RouterVersionRow.created_at.desc(), RouterVersionRow.id.desc())
        async with self._database.session() as session:
            return tuple(from_row(RouterVersion, row) for row in await session.scalars(newest))

    async def get(self, version_id: str) -> RouterVersion:
        """Return one version without its files."""
        this = WITHOUT_FILES.where(RouterVersionRow.id == version_id)
        async with self._database.session() as session:
            row = await session.scalar(this)
            if row is None:
                raise _unknown(version_id)
            return from_row(RouterVersion, row)

    async def files(self, version_id: str) -> tuple[bytes, bytes]:
        """Return the card and the arrays of one version."""
        columns = select(RouterVersionRow.card, RouterVersionRow.arrays)
        async with self._database.session() as session:
            found = (
                await session.execute(columns.where(RouterVersionRow.id == version_id))
            ).first()
        if found is None:
            raise _unknown(version_id)
        return found[0], found[1]

    async def become(
        self,
        version_id: str,
        status: VersionStatus,
        *,
        share: float = 0.0,
        applications: Sequence[str] = (),
        automatic: bool = False,
        detail: str = "",
    ) -> None:
        """Give a version a status. The one that had it retires: at most one serves, one is tried.

        The canary and the shadow exclude each other, for both are compared with what serves.
        """
        now = utc_now()
        changes: dict[str, Any] = {
            "status": status,
            "share": share,
            "applications": list(applications),
            "automatic": automatic,
            "detail": detail,
            "changed_at": now,
        }
        if status == "serving":
            changes["served"] = True
        async with self._database.transaction() as session:
            if status in ACTIVE:
                before = ACTIVE if status == "serving" else ("canary", "shadow")
                others = RouterVersionRow.status.in_(before) & (RouterVersionRow.id != version_id)
                retired = {"status": "retired", "share": 0.0, "changed_at": now}
                await session.execute(update(RouterVersionRow).where(others).values(**retired))
            this = update(RouterVersionRow).where(RouterVersionRow.id == version_id)
            done: Any = await session.execute(this.values(**changes))
            if not done.rowcount:
                raise _unknown(version_id)

    async def revision(self) -> datetime | None:
        """Return when any version last changed: cheap enough to ask every second."""
        async with self._database.session() as session:
            latest: datetime | None = await session.scalar(
                select(func.max(RouterVersionRow.changed_at))
            )
        return latest


def _unknown(version_id: str) -> UnknownRouterVersion:
    return UnknownRouterVersion(f"no router has the version '{version_id}'", "version")
