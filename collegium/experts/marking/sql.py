"""Checks an SQL query by comparing its result with the reference query's, in memory."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import Any

from collegium.errors import SettingsError
from collegium.experts.marking.base import accepted, fenced, text_of
from collegium.experts.marking.sandbox import (
    BadQuery,
    Rows,
    database_of,
    run_query,
)

STATEMENT = re.compile(r"\b(?:select|with|values)\b.*", re.IGNORECASE | re.DOTALL)
ORDERED = re.compile(r"\border\s+by\b(?![^()]*\))", re.IGNORECASE)
MOST_ROWS = 10_000
MOST_OPERATIONS = 50_000_000
"""SQLite virtual machine operations, some seconds of work: counted, so that all machines agree."""


class Sql:
    """Compares the results of two queries; order matters only if the reference sorts.

    The reference is a query, or {"query": …, "ddl": …} with the statements that make the database.
    `database` is the path of a SQLite file, `ddl` statements, for references without their own.
    Queries only read; see `sandbox.py`.
    """

    def __init__(self, database: str | Path | None = None, ddl: str | None = None) -> None:
        if database is not None and ddl is not None:
            raise SettingsError("checker 'sql': give a database or DDL, not both")
        self._image = None if database is None else _read(Path(database))
        self._ddl = ddl

    def mark(
        self, request: Mapping[str, Any], answer: Mapping[str, Any], reference: Any
    ) -> float | None:
        """Return 1 or 0; None without a reference that runs on a database."""
        query = sql_of(text_of(answer))
        marks = [self._against(query, each) for each in accepted(reference)]
        known = [mark for mark in marks if mark is not None]
        return max(known) if known else None

    def _against(self, query: str, reference: Any) -> float | None:
        stated = reference if isinstance(reference, Mapping) else {"query": reference}
        right = str(stated.get("query") or "")
        try:
            image = self._database(stated)
            wanted = _run(image, right) if image and right else None
        except BadQuery:
            return None
        if image is None or wanted is None or len(wanted) > MOST_ROWS:
            return None
        try:
            found = _run(image, query) if query else None
        except BadQuery:
            found = None
        if found is None:  # also where nothing is what is to be found
            return 0.0
        return float(same_rows(found, wanted, ordered=bool(ORDERED.search(right))))

    def _database(self, stated: Mapping[str, Any]) -> bytes | None:
        ddl = stated.get("ddl") or self._ddl
        return _made(str(ddl)) if ddl else self._image


def same_rows(found: Rows, wanted: Rows, *, ordered: bool) -> bool:
    """Compare rows; their order only matters if requested."""
    return found == wanted if ordered else Counter(found) == Counter(wanted)


def sql_of(text: str) -> str:
    """Return the query of an answer: its last code block, or from the first SELECT on."""
    blocks = fenced(text)
    match = STATEMENT.search(blocks[-1] if blocks else text)
    return "" if match is None else match.group().strip().rstrip(";").strip()


@lru_cache(maxsize=8)
def _made(ddl: str) -> bytes:
    return database_of(ddl)


def _run(image: bytes, query: str) -> Rows:
    return run_query(image, query, operations=MOST_OPERATIONS, rows=MOST_ROWS + 1)


def _read(path: Path) -> bytes:
    import sqlite3

    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as opened:
            opened.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            return opened.serialize()
    except (OSError, sqlite3.Error) as exc:
        raise SettingsError(f"checker 'sql': can't read the database '{path}' ({exc})") from exc
