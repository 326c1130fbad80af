"""The callers by their keys, in memory: those of the settings and those of the registry."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from collegium.errors import Forbidden, SettingsError
from collegium.registry.background import Repeating
from collegium.registry.clock import utc_now
from collegium.registry.key import Caller, Key, Team, both
from collegium.registry.keys import KeyRegistry, hashed
from collegium.settings import Settings

ADMINISTRATOR = "api_key"
"""The name of the caller that sends the setting `api_key`."""
EVERY_S = 0.5
"""Between two looks at the registry: so soon does a key count that another process changed."""


class Callers:
    """Looks up the caller of a key: one SHA-256 and one lookup, without reading the database.

    No secret is compared byte by byte, so the time taken reveals nothing about it.
    """

    def __init__(
        self,
        settings: Settings,
        registry: KeyRegistry,
        *,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._registry = registry
        self._clock = clock
        self._needs_api_key = settings.api_key is None
        self._set = _of_settings(settings)
        self._names = {caller.name for caller in self._set.values()}
        self._keys: dict[bytes, tuple[Caller, Key, datetime | None]] = {}
        """By hash; the time is when a rotated hash or its key expires."""
        self._by_name: dict[str, tuple[Caller, Key]] = {}
        self._known: dict[str, Key] = {}
        self._teams: dict[str, Team] = {}
        self._members: dict[str, set[str]] = {}
        self._revision = -1
        self._following = asyncio.Lock()
        self._loop = Repeating(
            self.follow, EVERY_S, name="keys", failing="changes of keys are not noticed for now"
        )

    def of(self, secret: str) -> Caller | None:
        """Return the caller with this key; None if the key is unknown or no longer valid."""
        digest = hashed(secret)
        if (found := self._set.get(digest)) is not None:
            return found
        entry = self._keys.get(digest)
        if entry is None:
            return None
        caller, key, until = entry
        good = key.revoked_at is None and (until is None or self._clock() < until)
        return caller if good else None

    def ended(self, secret: str) -> str:
        """Why a key of the registry is good no more, in words; "" for what never was one."""
        entry = self._keys.get(hashed(secret))
        if entry is None:
            return ""
        _, key, until = entry
        if key.revoked_at is not None:
            return f"The API key '{key.name}' was revoked"
        if key.state(self._clock()) == "expired":
            return f"The API key '{key.name}' expired on {key.expires_at:%Y-%m-%d}"
        return f"The API key '{key.name}' was rotated: send the new one ({until:%Y-%m-%d %H:%M})"

    def named(self, owner: str) -> Caller:
        """Return the caller of existing rows, such as a bulk job's.

        Forbidden if its key was revoked or has expired; a caller that is in no registry has all
        rights.
        """
        caller, key = self._by_name.get(owner, (Caller(owner), None))
        if key is not None and (state := key.state(self._clock())) != "active":
            raise Forbidden(f"The API key '{owner}' is {state}")
        return caller

    def members(self, team: str) -> frozenset[str]:
        """The names of all keys that a team has or had: whose rows are the team's."""
        return frozenset(self._members.get(team, ()))

    def team_of(self, owner: str) -> str | None:
        """Return the team of the key with this name; None if it has none."""
        caller, _ = self._by_name.get(owner, (None, None))
        return None if caller is None else caller.team

    def knows(self, owner: str) -> bool:
        """Whether a key bears this name."""
        return owner in self._names or owner in self._by_name

    def states(self) -> Mapping[str, int]:
        """Return the number of the registry's keys in each state."""
        now = self._clock()
        return Counter(key.state(now) for key in self._known.values())

    async def open(self) -> None:
        """Read the registry and follow its changes; raise SettingsError if it contradicts the
        settings.
        """
        await self.follow()
        if self._by_name and self._needs_api_key:
            raise SettingsError(
                "the registry has keys, which need the setting api_key: without it whoever "
                "reaches the service may do everything"
            )
        if taken := sorted(self._names & self._by_name.keys()):
            raise SettingsError(
                f"caller_keys: '{taken[0]}' is also the name of a key in the registry; rename "
                "the one in the settings"
            )
        self._loop.start()

    async def close(self) -> None:
        """Follow the registry no more."""
        await self._loop.close()

    async def follow(self) -> None:
        """Take over the keys that changed since the last time.

        With 10,000 keys all of them take seconds to read, which the start alone waits for.
        """
        async with self._following:
            revision = await self._registry.revision()
            if revision != self._revision:
                keys = await self._registry.changed(self._revision)
                self._take(keys, await self._registry.teams())
                self._revision = revision

    def is_taken(self, name: str) -> bool:
        """Whether a name is one of the settings' callers."""
        return name in self._names or name == ADMINISTRATOR

    def _take(self, keys: Iterable[Key], teams: Iterable[Team]) -> None:
        """Take over keys that changed, and those of teams that did."""
        by_name = {team.name: team for team in teams}
        before, self._teams = self._teams, by_name
        altered = {n for n in by_name.keys() | before.keys() if by_name.get(n) != before.get(n)}
        again = [key for key in self._known.values() if key.team in altered] if altered else []
        for key in (*again, *keys):
            self._put(key)

    def _put(self, key: Key) -> None:
        if (before := self._known.get(key.id)) is not None:
            for digest in (before.hash, before.former_hash):
                self._keys.pop(digest or b"", None)
        self._known[key.id] = key
        caller = _caller(key, self._teams.get(key.team or ""))
        self._keys[key.hash] = caller, key, key.expires_at
        if key.former_hash is not None:
            ends = [t for t in (key.former_until, key.expires_at) if t is not None]
            self._keys[key.former_hash] = caller, key, min(ends)
        named = self._by_name.get(key.name)
        if named is None or named[1].created_at <= key.created_at:  # of one name the newest
            self._by_name[key.name] = caller, key
        if key.team is not None:
            self._members.setdefault(key.team, set()).add(key.name)


def _of_settings(settings: Settings) -> dict[bytes, Caller]:
    if settings.api_key is None:
        return {}
    callers = {key: Caller(name) for name, key in settings.caller_keys.items()}
    callers[settings.api_key] = Caller(ADMINISTRATOR, role="operator")
    return {hashed(key.get_secret_value()): caller for key, caller in callers.items()}


def _caller(key: Key, team: Team | None) -> Caller:
    experts, applications = key.allowed_experts, key.allowed_applications
    if team is not None:
        experts = both(experts, team.allowed_experts)
        applications = both(applications, team.allowed_applications)
    return Caller(key.name, key.team, key.role, key.id, experts, applications)
