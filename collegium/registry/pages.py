"""Pages of long lists, in the manner of OpenAI's API: the cursor is the last id of a page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Literal, Protocol, TypeVar

from sqlalchemy import ColumnElement, Select, tuple_

from collegium.registry.database import Database

Order = Literal["asc", "desc"]
Item = TypeVar("Item")
Other = TypeVar("Other")


class Dated(Protocol):
    """What a cursor says: when its item was made, and which it was."""

    @property
    def id(self) -> str: ...

    @property
    def created_at(self) -> datetime: ...


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Some items, and whether others follow."""

    items: tuple[Item, ...]
    has_more: bool

    def map(self, change: Callable[[Item], Other]) -> Page[Other]:
        """The same page of other values."""
        return Page(tuple(change(item) for item in self.items), self.has_more)


def visible_to(tenant: str, owner: str) -> bool:
    """Whether a caller may see what an owner has: its own alone; the operator (``""``), all."""
    return not tenant or tenant == owner


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
    """What holds of the rows that follow the cursor."""
    key, last = tuple_(table.created_at, table.id), tuple_(cursor.created_at, cursor.id)
    return key > last if order == "asc" else key < last
