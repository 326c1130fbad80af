"""Open connections to SQLite and PostgreSQL, and translate their errors."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from math import isfinite
from pathlib import Path
from typing import Any

import msgspec
from asyncpg import PostgresError  # type: ignore[import-untyped]
from sqlalchemy import URL, AsyncAdaptedQueuePool, event, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from collegium.errors import DatabaseUnavailable, RegistryError, SettingsError

CONNECT_TIMEOUT_S = 10.0
COMMAND_TIMEOUT_S = 30.0
"""A PostgreSQL that takes a statement and says nothing, frozen or cut off, is away after that."""
BUSY_TIMEOUT_S = 10.0
"""How long SQLite waits for another process to finish writing."""

_PLAIN = frozenset({str, int, bool, type(None)})
_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
}


def parse_url(text: str) -> URL:
    """Parse a URL and fill in the driver; error messages never repeat it, since it may contain a
    password.
    """
    try:
        url = make_url(text)
    except ArgumentError:
        raise SettingsError("database_url is not a URL such as sqlite:////folder/file") from None
    url = url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))
    if url.drivername not in _DRIVERS.values():
        known = " and ".join(sorted(set(_DRIVERS.values())))
        raise SettingsError(f"database_url begins with '{url.drivername}'; supported: {known}")
    if "@" in (url.host or ""):
        raise SettingsError("database_url: write the '@' in its user or password as %40")
    if (url.database or "").startswith("file:"):
        raise SettingsError("database_url: write the file's path, sqlite:////folder/file")
    return url


def printable(url: URL) -> str:
    """Return the URL without its password and its options, for people to read."""
    return url.set(query={}).render_as_string(hide_password=True)


def open_engine(url: URL) -> AsyncEngine:
    """Make the pool; nothing is connected yet."""
    return _sqlite(url) if url.get_backend_name() == "sqlite" else _postgres(url)


@contextmanager
def database_errors(where: str) -> Iterator[None]:
    """Translate that the database can't be reached or used; a refused row stays as it is.

    A value that a driver can't write, such as an integer of any length, is a refused row as well.
    """
    try:
        yield
    except (IntegrityError, DataError):
        raise
    except OverflowError as exc:  # SQLite's driver, for an integer beyond 64 bits
        raise RegistryError(f"the database can't store a value: {exc}") from exc
    except DBAPIError as exc:
        if _is_of_a_value(exc):
            raise RegistryError(f"the database can't store a value: {exc.orig}") from exc
        raise DatabaseUnavailable(f"can't use the database {where}: {exc.orig}") from exc
    except PoolTimeout as exc:
        raise DatabaseUnavailable(f"the database {where} is too busy: no free connection") from exc
    except TimeoutError as exc:
        raise DatabaseUnavailable(f"can't reach the database {where}: no answer in time") from exc
    except (OSError, PostgresError) as exc:
        raise DatabaseUnavailable(f"can't reach the database {where}: {exc}") from exc


def _is_of_a_value(exc: DBAPIError) -> bool:
    """Whether a row's values are refused: by asyncpg itself, or by PostgreSQL (class 22)."""
    cause = exc.orig.__cause__ if exc.orig is not None else None
    state = getattr(exc.orig, "sqlstate", None) or ""
    return isinstance(cause, ValueError | OverflowError) or state.startswith("22")


def to_json(value: object) -> str:
    """Serialise JSON for a column: any mapping becomes an object; NaN raises an error."""
    try:
        text = msgspec.json.encode(value, enc_hook=_as_mapping)
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can escape and UTF-8 not hold
        return _strictly(value)
    if b"null" in text and not _is_finite(value):  # it writes NaN as null
        return _strictly(value)
    return text.decode()


def _strictly(value: object) -> str:
    return json.dumps(value, default=_as_plain, allow_nan=False)


def _as_plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else msgspec.to_builtins(value)


def _as_mapping(value: Any) -> dict[Any, Any]:
    return dict(value)


def _is_finite(value: object) -> bool:
    """Whether no number in it is NaN or infinite.

    Structs are trusted: looking into the twenty forecasts of a decision took 0.02 ms.
    """
    found: list[Any] = [value]
    for item in found:  # which grows meanwhile
        kind = type(item)
        if kind is float:
            if not isfinite(item):
                return False
        elif kind is dict:
            found.extend(item.values())
        elif kind in _PLAIN or issubclass(kind, msgspec.Struct):
            continue
        elif isinstance(item, float):
            found.append(float(item))
        elif isinstance(item, (list, tuple)):
            found.extend(item)
        elif isinstance(item, Mapping):
            found.extend(item.values())
    return True


def _postgres(url: URL) -> AsyncEngine:
    return create_async_engine(
        url,
        json_serializer=to_json,
        connect_args={"timeout": CONNECT_TIMEOUT_S, "command_timeout": COMMAND_TIMEOUT_S},
        pool_pre_ping=True,  # a server that was restarted costs nobody a request
    )


def _sqlite(url: URL) -> AsyncEngine:
    engine = create_async_engine(
        url,
        json_serializer=to_json,
        connect_args={
            "timeout": BUSY_TIMEOUT_S,
            # The driver begins a transaction at its first write, in one step with it, and as a
            # writing one: turning a reading transaction into that can't wait for its turn.
            "isolation_level": "IMMEDIATE",
        },
        poolclass=AsyncAdaptedQueuePool,
        pool_reset_on_return=None,  # our sessions always end their transaction: saves 0.2 ms
        # An in-memory database is its connection: there can be only one.
        **({} if in_file(url) else {"pool_size": 1, "max_overflow": 0}),
    )
    event.listen(engine.sync_engine, "connect", _configure_sqlite)
    return engine


def in_file(url: URL) -> bool:
    """Say whether this SQLite database outlives its connection."""
    return url.database not in (None, "", ":memory:")


def make_file(url: URL) -> None:
    """Make SQLite's file, closed to other users, for queries are private; say if it can't be used.

    A file that is there already is not opened: closing it would take this process's locks on it.
    """
    path = Path(url.database or "")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
    if not path.is_file() or not os.access(path, os.R_OK | os.W_OK):
        raise PermissionError("it is not a writable file")


def _configure_sqlite(connection: Any, _record: object) -> None:
    """Set what SQLite keeps per connection; NORMAL with WAL survives a crash of this process."""
    cursor = connection.cursor()
    for pragma in ("synchronous = NORMAL", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def registry_digest(where: str) -> str:
    """Return a digest that identifies a registry without revealing its address."""
    return hashlib.sha256(where.encode()).hexdigest()[:16]
