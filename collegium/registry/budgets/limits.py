"""Limits on the usage of a key, a team or an application, and the windows in which they count."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args

from sqlalchemy import delete, select

from collegium.registry.storage.database import Database
from collegium.registry.tables import BudgetRow, from_row, to_columns

Scope = Literal["key", "team", "application"]
Counted = Literal["usd", "tokens", "joules", "requests"]
"""Metrics that are summed over a window."""
Cap = Literal["parallel", "n", "panel", "max_tokens", "stored_bytes"]
"""Metrics that apply at every moment, or to each request alone."""
Metric = Counted | Cap
SCOPES: tuple[Scope, ...] = get_args(Scope)
COUNTED: tuple[Counted, ...] = get_args(Counted)
CAPS: tuple[Cap, ...] = get_args(Cap)
WINDOWS = ("minute", "hour", "day", "week", "month", "total")
EACH = "*"
"""The name that stands for every key, team or application without a limit of its own."""
NANO, MILLI = 10**9, 1000
UNITS = {"usd": NANO, "joules": MILLI}
"""Whole units of an amount in one of what people write: sums of floats are not exact."""
MOST = 9 * 10**15
"""The largest amount: nine million dollars. Redis counts in doubles, which are exact up to 2^53."""
SECONDS = re.compile(r"([0-9.e+-]+)s")


@dataclass(frozen=True)
class Limit:
    """At most so much of something in each window; the amount is in whole `UNITS`."""

    scope: Scope
    name: str
    metric: Metric
    window: str
    """A name of `WINDOWS`, a number of seconds such as `300s`, or "" for a cap."""
    amount: int

    @property
    def id(self) -> str:
        """A unique identifier."""
        return f"{self.scope}:{self.name}:{self.metric}:{self.window}"

    @property
    def shown(self) -> float:
        """The amount in dollars, joules, or whatever is counted."""
        return self.amount / UNITS.get(self.metric, 1)


def span(window: str, now: datetime) -> tuple[datetime, datetime | None]:
    """Return the start and end, in UTC, of the window that contains a time; None for no end.

    A week begins on Monday. Windows of seconds follow each other from 1970 on.
    """
    day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if window == "total":
        return datetime.fromtimestamp(0, UTC), None
    if window == "day":
        return day, day + timedelta(days=1)
    if window == "week":
        monday = day - timedelta(days=day.weekday())
        return monday, monday + timedelta(days=7)
    if window == "month":
        first = day.replace(day=1)
        return first, (first + timedelta(days=32)).replace(day=1)
    seconds = {"minute": 60.0, "hour": 3600.0}.get(window) or float(window.removesuffix("s"))
    start = now.timestamp() - now.timestamp() % seconds
    return datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(start + seconds, UTC)


class BudgetRegistry:
    """The limits that the operator has set."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self) -> tuple[Limit, ...]:
        """Return all limits, ordered by their subjects."""
        order = BudgetRow.scope, BudgetRow.name, BudgetRow.metric, BudgetRow.window
        async with self._database.session() as session:
            found = await session.scalars(select(BudgetRow).order_by(*order))
            return tuple(from_row(Limit, row) for row in found)

    async def put(self, limits: Iterable[Limit]) -> None:
        """Set limits; one of the same window takes the other's place."""
        upsert = self._database.upsert(BudgetRow)
        async with self._database.transaction() as session:
            for limit in limits:
                await session.execute(upsert, to_columns(limit))

    async def remove(
        self, scope: str, name: str, metric: str | None = None, window: str | None = None
    ) -> int:
        """Remove one limit, or all of a key, team or application; return how many there were."""
        chosen = [BudgetRow.scope == scope, BudgetRow.name == name]
        if metric is not None:
            chosen.append(BudgetRow.metric == metric)
        if window is not None:
            chosen.append(BudgetRow.window == window)
        gone = delete(BudgetRow).where(*chosen).returning(BudgetRow.metric)
        async with self._database.transaction() as session:
            return len(list(await session.scalars(gone)))
