"""Run an untrusted SQL query on a copy of a database, without write access and within limits."""

import sqlite3
from collections.abc import Callable
from contextlib import closing

from collegium.errors import CollegiumError

Rows = list[tuple[object, ...]]

# Counted, not timed, so that a slow machine gives the same verdict: about 0.1 s of work.
MOST_OPERATIONS = 1_000_000
OPERATIONS_PER_CALLBACK = 1_000
MOST_ROWS = 1_000
LONGEST_TEXT = 20_000
LARGEST_DATABASE = 64 * 2**20
PAGE = 4096
ALLOWED = frozenset(
    {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
)
REFUSED = frozenset({sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH, sqlite3.SQLITE_PRAGMA})
"""Operations forbidden to statements that create a database: opening files, lifting limits."""


class BadQuery(CollegiumError):
    """A query that does not parse, does more than reading, or takes too long."""


def run_query(
    image: bytes, query: str, *, operations: int = MOST_OPERATIONS, rows: int = MOST_ROWS
) -> Rows:
    """Return a query's rows, numbers rounded so that sums in another order compare equal."""
    with closing(sqlite3.connect(":memory:")) as connection:
        try:
            connection.deserialize(image)
            connection.execute("PRAGMA query_only = ON")
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_TEXT)
            connection.set_authorizer(only_reading)
            connection.set_progress_handler(allowance(operations), OPERATIONS_PER_CALLBACK)
            found = connection.execute(query).fetchmany(rows)
        except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as exc:
            raise BadQuery(str(exc)) from exc
    return [tuple(rounded(value) for value in row) for row in found]


def database_of(statements: str, *, operations: int = 50 * MOST_OPERATIONS) -> bytes:
    """Return the image of a database in memory that SQL statements make."""
    with closing(sqlite3.connect(":memory:")) as connection:
        try:
            connection.execute(f"PRAGMA max_page_count = {LARGEST_DATABASE // PAGE}")
            connection.set_authorizer(no_other_files)
            connection.set_progress_handler(allowance(operations), OPERATIONS_PER_CALLBACK)
            connection.executescript(statements)
            connection.set_authorizer(None)  # it would refuse what serialize() does
            return connection.serialize()
        except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as exc:
            raise BadQuery(str(exc)) from exc


def only_reading(action: int, *_details: str | None) -> int:
    return sqlite3.SQLITE_OK if action in ALLOWED else sqlite3.SQLITE_DENY


def no_other_files(action: int, *_details: str | None) -> int:
    return sqlite3.SQLITE_DENY if action in REFUSED else sqlite3.SQLITE_OK


def allowance(operations: int) -> Callable[[], int]:
    """Make a progress handler that stops a query after its share of operations."""
    left = operations // OPERATIONS_PER_CALLBACK

    def stop() -> int:
        nonlocal left
        left -= 1
        return int(left < 0)

    return stop


def rounded(value: object) -> object:
    return round(value, 6) if isinstance(value, float) else value
