"""The base class of all tables, and the conversion between rows and values."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import JSON, Double, LargeBinary, MetaData
from sqlalchemy.orm import DeclarativeBase

from collegium.registry.tables.column_types import AnyText, UtcDateTime

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Value = TypeVar("Value", bound="DataclassInstance")


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
