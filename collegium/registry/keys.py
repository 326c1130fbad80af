"""The keys and teams of the registry, and a revision by which processes notice changes.

A secret is 32 random bytes, so its SHA-256 can't be turned back by trying. A slow hash with a salt,
such as bcrypt, protects what people make up; here it would only cost each request a tenth of a
second, and could not be looked up by an index.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from collegium.errors import KeyConflict, KeyNotFound, RegistryError, TeamConflict, TeamNotFound
from collegium.registry.key import Key, KeyState, Team
from collegium.registry.storage.database import Database
from collegium.registry.storage.pages import Page, Scope, owned, page_of
from collegium.registry.tables import KeyRow, RevisionRow, Table, TeamRow, to_columns

PREFIX = "col-"
SHOWN = len(PREFIX) + 4
"""The first characters of a secret that are kept, to recognise it by."""
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
LONGEST_TEXT, MOST_NAMES = 500, 1000
CHANGEABLE = frozenset(
    {"role", "description", "allowed_experts", "allowed_applications", "expires_at"}
)
_REVISION = str(select(RevisionRow.keys))
_SETS = ("allowed_experts", "allowed_applications")


@dataclass(frozen=True)
class Secret:
    """A new secret, which is shown once, and what is kept of it."""

    text: str

    @classmethod
    def new(cls) -> Secret:
        """32 random bytes."""
        return cls(PREFIX + secrets.token_urlsafe(32))

    @property
    def kept(self) -> dict[str, Any]:
        """The columns of a key."""
        text = self.text
        return {"hash": hashed(text), "prefix": text[:SHOWN], "last_four": text[-4:]}


def hashed(secret: str) -> bytes:
    """Return the hash that is stored of a secret."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()


class KeyRegistry:
    """Keys and teams; each change increments their revision in the same transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def revision(self) -> int:
        """Return a number that grows with every change, so that copies know when they are stale."""
        return await self._database.number(_REVISION)

    async def changed(self, since: int = -1) -> tuple[Key, ...]:
        """Return the keys that changed after a revision, expired and revoked ones included."""
        newer = select(KeyRow).where(KeyRow.revision > since)
        async with self._database.session() as session:
            return tuple(_key(row) for row in await session.scalars(newer))

    async def list(
        self,
        *,
        scope: Scope = None,
        state: KeyState | None = None,
        team: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[Key]:
        """Return one page of keys, oldest first; `after` is the id of the last one before it."""
        found = select(KeyRow).where(owned(KeyRow.name, scope))
        if state is not None:
            found = found.where(_is(state, datetime.now(UTC)))
        if team is not None:
            found = found.where(KeyRow.team == team)
        cursor = None if after is None else await self.get(after)
        rows = await page_of(self._database, found, KeyRow, cursor, limit, "asc")
        return rows.map(_key)

    async def teams(self) -> tuple[Team, ...]:
        """Return all teams, sorted by name."""
        async with self._database.session() as session:
            found = [_team(row) for row in await session.scalars(select(TeamRow))]
        return tuple(sorted(found, key=lambda team: team.name))

    async def get(self, key: str) -> Key:
        """Return the key with this id, or with this name: of several the one that is not revoked,
        else the newest.
        """
        async with self._database.session() as session:
            return _key(await _row(session, key))

    async def identified(self, secret: str) -> Key | None:
        """Return the key that a secret belongs to, even if it was rotated or revoked since."""
        digest = hashed(secret)
        found = select(KeyRow).where((KeyRow.hash == digest) | (KeyRow.former_hash == digest))
        async with self._database.session() as session:
            row = await session.scalar(found)
        return None if row is None else _key(row)

    async def create(
        self, name: str, *, created_by: str = "", **described: Any
    ) -> tuple[Key, Secret]:
        """Create a key; raise KeyConflict if its name is taken.

        A revoked key leaves its name, and with it the rows that it made, to keys of its own team.
        """
        secret = Secret.new()
        key = Key(
            id=f"key_{secrets.token_hex(12)}",
            name=name,
            created_by=created_by,
            **secret.kept,
            **described,
        )
        check_key(key)
        async with self._database.transaction() as session:
            revision = await _bump(session)
            if key.team is not None:
                await _team_row(session, key.team)
            before = await session.scalars(select(KeyRow).where(KeyRow.name == name))
            for other in before:
                if other.live_name is not None:
                    raise KeyConflict(f"a key '{name}' already exists: rotate it, or revoke it")
                if other.team != key.team:
                    raise KeyConflict(
                        f"the name '{name}' belonged to a key of "
                        f"{'no team' if other.team is None else f'the team {other.team!r}'}, whose "
                        "rows a new key of that name would see: choose another name"
                    )
            session.add(KeyRow(**_columns(key), live_name=name, revision=revision))
        return key, secret

    async def change(self, key: str, /, **changes: Any) -> Key:
        """Change what a key may do, and how long."""
        assert changes.keys() <= CHANGEABLE
        async with self._database.transaction() as session:
            revision = await _bump(session)
            row = await _live(session, key)
            row.revision = revision
            for column, value in changes.items():
                setattr(row, column, _stored(column, value))
            changed = _key(row)
            check_key(changed)
            return changed

    async def rotate(self, key: str, overlap: timedelta) -> tuple[Key, Secret]:
        """Give a key a new secret. The one before is good for the overlap, one before that is not.

        A key that has expired is not rotated: it gets another end first.
        """
        secret, now = Secret.new(), datetime.now(UTC)
        async with self._database.transaction() as session:
            revision = await _bump(session)
            row = await _live(session, key)
            row.revision = revision
            if _key(row).state(now) == "expired":
                raise KeyConflict(f"the key '{row.name}' has expired: set `expires_at` first")
            row.former_hash, row.former_until = row.hash, now + overlap
            row.rotated_at = now
            for column, value in secret.kept.items():
                setattr(row, column, value)
            return _key(row), secret

    async def revoke(self, key: str) -> Key:
        """End a key for good, and free its name for another of its team."""
        async with self._database.transaction() as session:
            revision = await _bump(session)
            row = await _live(session, key)
            row.revision = revision
            row.revoked_at, row.live_name = datetime.now(UTC), None
            return _key(row)

    async def team(self, name: str) -> Team:
        """Return one team."""
        async with self._database.session() as session:
            return _team(await _team_row(session, name))

    async def create_team(self, team: Team) -> None:
        """Create a team; raise TeamConflict if its name is taken."""
        _check(team.name, "a team's name", team)
        async with self._database.transaction() as session:
            await _bump(session)
            if await session.get(TeamRow, team.name) is not None:
                raise TeamConflict(f"a team '{team.name}' already exists")
            session.add(TeamRow(**_columns(team)))

    async def change_team(self, name: str, /, **changes: Any) -> Team:
        """Change what a team's keys may do at most."""
        async with self._database.transaction() as session:
            await _bump(session)
            row = await _team_row(session, name)
            for column, value in changes.items():
                setattr(row, column, _stored(column, value))
            changed = _team(row)
            _check(name, "a team's name", changed)
            return changed

    async def remove_team(self, name: str) -> None:
        """Remove a team that never had keys; raise TeamConflict if it did, since it owns their
        rows.
        """
        async with self._database.transaction() as session:
            await _bump(session)
            row = await _team_row(session, name)
            if await session.scalar(select(KeyRow.id).where(KeyRow.team == name).limit(1)):
                raise TeamConflict(
                    f"the team '{name}' has or had keys, whose rows are its own: revoke its keys, "
                    "and leave the team as it is"
                )
            await session.delete(row)


def check_key(key: Key) -> None:
    """Raise RegistryError if a field of the key is invalid."""
    _check(key.name, "a key's name", key)
    if key.name.startswith("key_"):
        raise RegistryError("a key's name must not begin with 'key_', the prefix of ids")
    if key.role == "team-lead" and key.team is None:
        raise RegistryError("a team lead's key needs a team")
    if key.role == "operator" and key.team is not None:
        raise RegistryError("an operator's key can't have a team: it sees all of them")


def _check(name: str, what: str, value: Key | Team) -> None:
    if not NAME.fullmatch(name) or not any(map(str.isalnum, name)):
        raise RegistryError(
            f"{what} must be 1 to 64 letters, digits, '.', '_' and '-', including a letter or a "
            f"digit, not {name!r}"
        )
    if len(value.description) > LONGEST_TEXT:
        raise RegistryError(f"a description may have at most {LONGEST_TEXT} characters")
    for column in _SETS:
        if len(getattr(value, column) or ()) > MOST_NAMES:
            raise RegistryError(f"{column} may have at most {MOST_NAMES} names")


async def _bump(session: AsyncSession) -> int:
    """Take the next revision; until the transaction ends all other changes wait for it."""
    taking = update(RevisionRow).values(keys=RevisionRow.keys + 1).returning(RevisionRow.keys)
    return int(await session.scalar(taking) or 0)


def _is(state: KeyState, now: datetime) -> ColumnElement[bool]:
    """Return the SQL condition for keys in a state."""
    if state == "revoked":
        return KeyRow.revoked_at.is_not(None)
    expired = KeyRow.expires_at.is_not(None) & (KeyRow.expires_at <= now)
    return KeyRow.revoked_at.is_(None) & (expired if state == "expired" else ~expired)


async def _row(session: AsyncSession, key: str) -> KeyRow:
    named = select(KeyRow).where(KeyRow.name == key)
    live_first = KeyRow.revoked_at.is_not(None), KeyRow.created_at.desc()
    row = await session.get(KeyRow, key)
    row = row or await session.scalar(named.order_by(*live_first).limit(1))
    if row is None:
        raise KeyNotFound(f"no key has the name or id '{key}'")
    return row


async def _live(session: AsyncSession, key: str) -> KeyRow:
    row = await _row(session, key)
    if row.revoked_at is not None:
        raise KeyConflict(f"the key '{row.name}' was revoked for good: create another")
    return row


async def _team_row(session: AsyncSession, name: str) -> TeamRow:
    row = await session.get(TeamRow, name)
    if row is None:
        raise TeamNotFound(f"there is no team '{name}'")
    return row


def _columns(value: Key | Team) -> dict[str, Any]:
    return {column: _stored(column, v) for column, v in to_columns(value).items()}


def _stored(column: str, value: Any) -> Any:
    return sorted(value) if column in _SETS and value is not None else value


def _key(row: KeyRow) -> Key:
    return Key(**_fields(Key, row))


def _team(row: TeamRow) -> Team:
    return Team(**_fields(Team, row))


def _fields(kind: type[Key | Team], row: Table) -> dict[str, Any]:
    found = {f.name: getattr(row, f.name) for f in fields(kind)}
    sets: Iterable[str] = [name for name in _SETS if found[name] is not None]
    return found | {name: frozenset(found[name]) for name in sets}
