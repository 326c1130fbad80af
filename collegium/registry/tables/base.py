"""The base class of all tables, their column types, and the conversion between rows and values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel
from sqlalchemy import JSON, Column, DateTime, Dialect, Double, Integer, LargeBinary, MetaData, Text
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator, TypeEngine

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


Value = TypeVar("Value", bound="DataclassInstance")


class UtcDateTime(TypeDecorator[datetime]):
    """A time zone-aware time in UTC on every database; SQLite alone would drop the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a time without a zone, which would be ambiguous later."""
        if value is not None and value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give SQLite's times their zone back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class AnyText(TypeDecorator[str]):
    """Text that callers wrote: PostgreSQL has no NUL and no database has half a surrogate pair."""

    impl = Text()
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Replace characters that can't be stored by the replacement character."""
        if value is None:
            return None
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


class JsonText(TypeDecorator[dict[str, Any]]):
    """An object as JSON in a column of text; nothing is NULL, not JSON's null."""

    impl = Text()
    cache_ok = True

    def process_bind_param(self, value: dict[str, Any] | None, dialect: Dialect) -> str | None:
        """Write it."""
        return None if value is None else json.dumps(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> dict[str, Any] | None:
        """Read it."""
        return None if value is None else dict(json.loads(value))


_TYPES: dict[type, TypeEngine[Any]] = {
    str: AnyText(),
    int: Integer(),
    float: Double(),
    dict: JsonText(),
}


def columns_of(description: type[BaseModel]) -> Iterator[Column[Any]]:
    """Return a column for each field, nullable if the field may be None; the key is the name."""
    for name, field in description.model_fields.items():
        kinds = _alternatives(field.annotation)
        kind = next(kind for kind in kinds if kind is not NoneType)
        nullable = NoneType in kinds
        yield Column(name, _TYPES[kind], primary_key=name == "name", nullable=nullable)


def _alternatives(hint: Any) -> list[type]:
    """The classes of a type's values: of `Literal["a"] | None` they are `str` and `NoneType`."""
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return [kind for part in get_args(hint) for kind in _alternatives(part)]
    return [type(value) for value in get_args(hint)] if origin is Literal else [origin or hint]


class Table(DeclarativeBase):
    """Base of all tables: which Python type is which column, and what constraints are called.

    Plain JSON rather than JSONB: it keeps the keys' order and any escape a caller can send.
    """

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012  (SQLAlchemy reads it so)
        str: AnyText(),
        float: Double(),
        datetime: UtcDateTime(),
        bytes: LargeBinary(),
        dict[str, Any]: JSON(),
        list[dict[str, Any]]: JSON(),
        list[str]: JSON(),
    }


def to_columns(value: DataclassInstance) -> dict[str, Any]:
    """Return a value's fields as a row's columns."""
    return {f.name: getattr(value, f.name) for f in fields(value)}


def from_row(kind: type[Value], row: Table) -> Value:
    """Create a value from a row whose columns have the names of its fields; lists become tuples."""
    columns = {f.name: getattr(row, f.name) for f in fields(kind)}
    return kind(**{n: tuple(v) if isinstance(v, list) else v for n, v in columns.items()})
