"""Filters by several columns: which of them may use an index."""

from __future__ import annotations

import pytest
from sqlalchemy import Dialect, select
from sqlalchemy.dialects import postgresql, sqlite

from collegium.registry.decisions.selection import Selection
from collegium.registry.tables import DecisionRow, OutcomeRow

POSTGRESQL: Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]


def statement(dialect: Dialect) -> str:
    """The statement that lists the cancelled decisions of a key and an application."""
    wanted = Selection(owner="shop", application="search", status="cancelled")
    joined = select(DecisionRow.id).join(OutcomeRow, OutcomeRow.decision_id == DecisionRow.id)
    return str(joined.where(*wanted.conditions()).compile(dialect=dialect))


def test_sqlite_uses_the_index_of_the_narrowest_column() -> None:
    """It knows no statistics: the other columns are hidden from it in calls."""
    found = statement(sqlite.dialect())
    assert "outcomes.status = ?" in found
    assert "outcomes.failed_application = ?" in found
    assert "coalesce(outcomes.failed_owner, '') = ?" in found


def test_postgresql_chooses_by_its_statistics() -> None:
    """It has none of calls."""
    found = statement(POSTGRESQL)
    assert "coalesce" not in found
    for column in ("application", "owner"):
        assert f"outcomes.failed_{column} = %(" in found


@pytest.mark.parametrize("dialect", [sqlite.dialect(), POSTGRESQL])
def test_values_are_bound(dialect: Dialect) -> None:
    """What callers send never becomes part of the statement."""
    assert "shop" not in statement(dialect)
