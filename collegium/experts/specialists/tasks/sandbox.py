"""Run a stranger's SQL query on a copy of a database, unable to write, wander or run long."""

import sqlite3
from collections.abc import Callable
from contextlib import closing

from collegium.errors import CollegiumError

Rows = list[tuple[object, ...]]

# Counted, not timed, so that a slow machine gives the same verdict: about 0.1 s of work.
MOST_CALLBACKS = 1_000
OPERATIONS_PER_CALLBACK = 1_000
MOST_ROWS = 1_000
LONGEST_TEXT = 20_000
ALLOWED = frozenset(
    {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
)


class BadQuery(CollegiumError):
    """A query that does not parse, does more than reading, or takes too long."""


def run_query(image: bytes, query: str) -> Rows:
    """Return a query's rows, numbers rounded so that sums in another order compare equal."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(image)
        connection.execute("PRAGMA query_only = ON")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_TEXT)
        connection.set_authorizer(only_reading)
        connection.set_progress_handler(allowance(), OPERATIONS_PER_CALLBACK)
        try:
            found = connection.execute(query).fetchmany(MOST_ROWS)
        except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as exc:
            raise BadQuery(str(exc)) from exc
    return [tuple(rounded(value) for value in row) for row in found]


def only_reading(action: int, *_details: str | None) -> int:
    return sqlite3.SQLITE_OK if action in ALLOWED else sqlite3.SQLITE_DENY


def allowance() -> Callable[[], int]:
    """Make a progress handler that stops a query after its share of operations."""
    left = MOST_CALLBACKS

    def stop() -> int:
        nonlocal left
        left -= 1
        return int(left < 0)

    return stop


def rounded(value: object) -> object:
    return round(value, 6) if isinstance(value, float) else value
