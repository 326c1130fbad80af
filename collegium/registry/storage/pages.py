"""Pagination in the style of OpenAI's API: the cursor is the last id of a page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Literal, Protocol, TypeVar

from sqlalchemy import ColumnElement, Select, true, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from collegium.registry.storage.database import Database

Order = Literal["asc", "desc"]
Scope = frozenset[str] | None
"""The owners whose rows a caller may see; None for all owners."""
Item = TypeVar("Item")
Other = TypeVar("Other")


class Dated(Protocol):
    """A cursor: when its item was created, and the item's id."""

    @property
    def id(self) -> str: ...

    @property
    def created_at(self) -> datetime: ...


@dataclass(frozen=True, slots=True)
class Sorted:
    """Other columns to sort by than a table's own, and a cursor's values of them."""

    created_at: Any
    id: Any


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Some items, and whether others follow."""

    items: tuple[Item, ...]
    has_more: bool

    def map(self, change: Callable[[Item], Other]) -> Page[Other]:
        """Return the same page with each value mapped."""
        return Page(tuple(change(item) for item in self.items), self.has_more)


def within(scope: Scope, owner: str) -> bool:
    """Whether an owner's rows are within a scope."""
    return scope is None or owner in scope


def owned(column: InstrumentedAttribute[str], scope: Scope) -> ColumnElement[bool]:
    """Return the SQL condition for rows within a scope."""
    return true() if scope is None else column.in_(sorted(scope))


async def page_of(
    database: Database,
    statement: Select[Any],
    table: Any,
    after: Dated | None,
    limit: int,
    order: Order,
) -> Page[Any]:
    """Read the rows that follow the cursor in the order of their making."""
    if after is not None:
        statement = statement.where(after_cursor(table, after, order))
    columns = (table.created_at, table.id)
    sorted_by = [column.asc() if order == "asc" else column.desc() for column in columns]
    async with database.session() as session:
        rows = list(await session.scalars(statement.order_by(*sorted_by).limit(limit + 1)))
    return Page(tuple(rows[:limit]), len(rows) > limit)


def after_cursor(table: Any, cursor: Dated, order: Order) -> ColumnElement[bool]:
    """Return the SQL condition for rows after the cursor."""
    key, last = tuple_(table.created_at, table.id), tuple_(cursor.created_at, cursor.id)
    return key > last if order == "asc" else key < last
