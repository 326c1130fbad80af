"""Usage by day, owner, application and expert, aggregated as hours pass.

Decisions are summed up once no answer of their hour can still be under way; younger ones are read
from the log. So a request pays nothing for it, and a sum over a million decisions reads some
thousand rows.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, case, func, literal, literal_column, select, update

from collegium.registry.background import Repeating
from collegium.registry.storage.database import Database
from collegium.registry.storage.pages import Scope, owned
from collegium.registry.tables import (
    DecisionRow,
    FeedbackRow,
    OutcomeRow,
    UsageProgressRow,
    UsageRow,
)

Dimension = Literal["day", "owner", "application", "expert"]
DIMENSIONS: tuple[Dimension, ...] = ("day", "owner", "application", "expert")
Key = tuple[Any, ...]
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
CLOSED_AFTER = timedelta(hours=2)
"""An hour's answers have ended so long after its end: none takes longer than an hour."""
EVERY_S, REST_S = 60.0, 0.02


@dataclass(frozen=True, slots=True)
class Used:
    """The usage of a set of answers. Tokens, dollars, joules and milliseconds are sums."""

    requests: int = 0
    errors: int = 0
    cancelled: int = 0
    unpriced: int = 0
    """Answers whose price is unknown."""
    timed: int = 0
    """Answers whose latency is in the sum: those that came to their end."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    energy_j: float = 0.0
    latency_ms: float = 0.0
    cached: int = 0
    """Answers from the response cache."""
    saved_usd: float = 0.0
    """What these had cost when they were given first."""

    def __add__(self, other: Used) -> Used:
        """Add two sums."""
        return Used(*(getattr(self, name) + getattr(other, name) for name in MEASURES))


MEASURES = tuple(f.name for f in fields(Used))
_ASKED: dict[Dimension, Any] = {
    "owner": DecisionRow.owner,
    "application": func.coalesce(DecisionRow.application, literal_column("''")),
    "expert": func.coalesce(OutcomeRow.expert, DecisionRow.expert),
}
_KEPT: dict[Dimension, Any] = {name: getattr(UsageRow, name) for name in DIMENSIONS}


@dataclass(frozen=True)
class Span:
    """Selects answers by a range of UTC days and by owner."""

    since: datetime
    before: datetime
    owner: str | None = None
    application: str | None = None
    expert: str | None = None
    scope: Scope = None
    """The owners whose answers may be meant at all."""

    def conditions(self, columns: dict[Dimension, Any]) -> list[ColumnElement[bool]]:
        """Return the SQL conditions besides the days."""
        named = [columns[n] == v for n in DIMENSIONS[1:] if (v := getattr(self, n)) is not None]
        return [*named, owned(columns["owner"], self.scope)]


def added(insert: Any) -> Any:
    """The insert of sums, which adds to what is kept under the same names."""
    table = UsageRow.__table__.c
    return insert.on_conflict_do_update(
        index_elements=[table[name] for name in DIMENSIONS],
        set_={name: table[name] + insert.excluded[name] for name in MEASURES},
    )


class Usage:
    """Usage summed over decisions, and the background task that keeps the sums up to date."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._loop = Repeating(
            self._fold_all,
            EVERY_S,
            name="usage",
            failing="usage is not summed up for now",
            first_after_s=0.0,
        )
        self._made: dict[Any, tuple[float, Any]] = {}

    async def remembered(self, name: Any, make: Callable[[], Awaitable[Any]]) -> Any:
        """Return what was made under a name within the last minute, or make it."""
        now = time.monotonic()
        self._made = {n: made for n, made in self._made.items() if now - made[0] < EVERY_S}
        if name not in self._made:
            self._made[name] = now, await make()
        return self._made[name][1]

    async def by(self, dimensions: Sequence[Dimension], span: Span) -> dict[Key, Used]:
        """Return the sums by the values of some dimensions; a day is its first moment."""
        columns = [_KEPT[name] for name in dimensions]
        sums = [func.sum(getattr(UsageRow, name)) for name in MEASURES]
        kept = select(*columns, *sums).where(
            UsageRow.day >= span.since, UsageRow.day < span.before, *span.conditions(_KEPT)
        )
        async with self._database.session() as session:
            until = await session.scalar(select(UsageProgressRow.until))
            found = await session.execute(kept.group_by(*columns) if columns else kept)
            parts = [_rows(found, len(dimensions))]
            now = datetime.now(UTC)
            begin, created = max(until or span.since, span.since), DecisionRow.created_at
            first = await session.scalar(select(func.min(created)).where(created >= begin))
            # From the first decision on: a span may begin centuries before it.
            for start, end in _days(first or now, min(span.before, now)):
                young = _of_log(dimensions, start, end).where(*span.conditions(_ASKED))
                parts.append(_rows(await session.execute(young), len(dimensions)))
        return _together(parts)

    async def rated(self, limit: int, scope: Scope = None) -> list[str]:
        """Return the ids of the latest decisions that have been rated; of those within a scope,
        as far as they are among the latest 20 times as many ratings.
        """
        rating: Any = FeedbackRow.__table__.c
        newest: Select[Any] = select(rating.decision_id).where(rating.score.is_not(None))
        newest = newest.order_by(rating.created_at.desc())
        if scope is not None:
            rating = newest.add_columns(rating.created_at).limit(20 * limit).subquery().c
            own = DecisionRow.id == rating.decision_id, owned(DecisionRow.owner, scope)
            newest = select(rating.decision_id).where(*own).order_by(rating.created_at.desc())
        newest = newest.limit(limit)
        async with self._database.session() as session:
            return list(dict.fromkeys(await session.scalars(newest)))

    async def fold(self, now: datetime | None = None) -> bool:
        """Aggregate the oldest completed hour that has decisions; return False if there is none."""
        now = now or datetime.now(UTC)
        created = DecisionRow.created_at
        async with self._database.session() as session:
            until = await session.scalar(select(UsageProgressRow.until))
            assert until is not None, "the migration makes the row"
            oldest = await session.scalar(select(func.min(created)).where(created >= until))
        if oldest is None:
            return False
        start = max(until, oldest.replace(minute=0, second=0, microsecond=0))
        end = start.replace(minute=0, second=0, microsecond=0) + HOUR
        if end > now - CLOSED_AFTER:
            return False
        mine = update(UsageProgressRow).where(UsageProgressRow.until == until).values(until=end)
        async with self._database.transaction() as session:
            done: Any = await session.execute(mine)
            if done.rowcount:  # else another replica sums up this hour
                await session.execute(self._adding(start, end))
        return True

    def _adding(self, start: datetime, end: datetime) -> Any:
        """The sums of some hours of one day, added to those that are kept."""
        insert = self._database.insert(UsageRow)
        return added(insert.from_select([*DIMENSIONS, *MEASURES], _of_log(DIMENSIONS, start, end)))

    def start(self) -> None:
        """Start the background task, which adds completed hours every minute."""
        self._loop.start()

    async def close(self) -> None:
        """Stop the background task."""
        await self._loop.close()

    async def _fold_all(self) -> None:
        while await self.fold():
            await asyncio.sleep(REST_S)


def _of_log(dimensions: Sequence[Dimension], start: datetime, end: datetime) -> Select[Any]:
    """Sums over the decisions of a part of one day, read from the log."""
    day = literal(midnight(start), DecisionRow.created_at.type)
    columns = [day if name == "day" else _ASKED[name] for name in dimensions]
    grouped = [column for column in columns if column is not day]
    found = (
        select(*columns, *_sums())
        .select_from(DecisionRow)
        .join(OutcomeRow, OutcomeRow.decision_id == DecisionRow.id)
        .where(DecisionRow.created_at >= start, DecisionRow.created_at < end)
        .having(func.count() > 0)
    )
    return found.group_by(*grouped) if grouped else found


def _sums() -> list[Any]:
    ok = OutcomeRow.status == "ok"
    summed = {
        "requests": func.count(),
        "errors": _count(OutcomeRow.status == "error"),
        "cancelled": _count(OutcomeRow.status == "cancelled"),
        "unpriced": _count(OutcomeRow.cost_usd.is_(None)),
        "cached": _count(OutcomeRow.cached_from.is_not(None)),
        "timed": _count(ok & OutcomeRow.latency_ms.is_not(None)),
        "latency_ms": func.coalesce(func.sum(case((ok, OutcomeRow.latency_ms))), 0.0),
    }
    return [
        summed[name] if name in summed else func.coalesce(func.sum(getattr(OutcomeRow, name)), 0)
        for name in MEASURES
    ]


def _count(what: ColumnElement[bool]) -> Any:
    return func.coalesce(func.sum(case((what, 1), else_=0)), 0)


def _rows(found: Iterable[Any], keys: int) -> dict[Key, Used]:
    """Rows as sums; PostgreSQL sums whole numbers up to decimal ones."""
    return {tuple(row[:keys]): _used(row[keys:]) for row in found}


def _used(row: Sequence[Any]) -> Used:
    kinds: list[Any] = [int if f.type == "int" else float for f in fields(Used)]
    return Used(*[kind(value or 0) for kind, value in zip(kinds, row, strict=True)])


def _together(parts: Iterable[dict[Key, Used]]) -> dict[Key, Used]:
    found: dict[Key, Used] = {}
    for part in parts:
        for key, used in part.items():
            found[key] = found[key] + used if key in found else used
    return found


def _days(start: datetime, end: datetime) -> Iterable[tuple[datetime, datetime]]:
    """The time between two moments, cut at midnight."""
    while start < end:
        stop = min(midnight(start) + DAY, end)
        yield start, stop
        start = stop


def midnight(moment: datetime) -> datetime:
    """The first moment of a day."""
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)
