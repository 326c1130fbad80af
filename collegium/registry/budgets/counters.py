"""Counters of budgets: reserve before a request is sent, settle after it, each atomically.

A counter's `used` holds what ended requests took and what those in flight may take at most, so a
process that is killed frees nothing. What a request holds is kept beside it until it is settled:
with its actual amounts, by whoever reads them in the log.

A counter that is not there is `Missing`: whoever finds that sums up the log and seeds it. Requests
that are settled meanwhile stay held at their actual amounts, and the sum leaves held ones out.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

MILLION = 1_000_000
SHARES = 16
"""The number of requests among which the rest of a budget is shared."""
ALONE = 4
"""All requests in flight together may hold one part in so many of what is unspent before they have
to share it: who is alone gets more.
"""


@dataclass(frozen=True)
class Charge:
    """The most that a request may add to a counter: `base`, plus an amount per million output
    tokens.
    """

    counter: str
    most: int
    """The limit: the counter may not exceed it."""
    base: int
    per_million: int = 0
    expires_s: float | None = None
    """Seconds until the counter is no longer needed."""

    def amount(self, tokens: int) -> int:
        """Return the amount for this many output tokens."""
        return self.base - (-self.per_million * tokens // MILLION)


@dataclass(frozen=True)
class Wanted:
    """The output tokens that a request would like to have."""

    least: int
    """The minimum; with fewer the request is refused."""
    usual: int
    """What most requests need; more is granted only from the request's share of what is left."""
    most: int
    parts: int = 1
    """The number of answers that share the request's share: those to its prompts."""


@dataclass(frozen=True)
class Level:
    """The state of a counter."""

    used: int
    """The held part included."""
    held: int
    """The amount reserved by requests in flight."""


@dataclass(frozen=True)
class Granted:
    """The amount is reserved; the request may produce this many output tokens."""

    tokens: int
    levels: tuple[Level, ...]
    """The level of each charge's counter after the reservation."""


@dataclass(frozen=True)
class Refused:
    """Nothing was reserved: the counter of the charge at this index has too little left."""

    place: int
    level: Level


@dataclass(frozen=True)
class Missing:
    """Nothing was reserved: the counter of the charge at this index has to be seeded first."""

    place: int


@dataclass(frozen=True)
class Held:
    """A request in flight."""

    hold: str
    counters: tuple[str, ...]
    own: bool
    """Whether this process answers it."""
    alive: bool
    """Whether the process that answers it has been heard of lately."""


class Counters(Protocol):
    """A store of budget counters."""

    async def reserve(
        self, hold: str, charges: Sequence[Charge], want: Wanted
    ) -> Granted | Refused | Missing:
        """Reserve for as many tokens of output as are wanted and as all counters allow.

        An existing hold grows; its charges must be of the same counters each time.
        """

    async def settle(self, hold: str, amounts: Mapping[str, int], *, lapsed: bool = False) -> None:
        """Replace what a request holds by what it has actually used.

        An unknown hold was lost: its counters have to be seeded again. One that `lapsed` may have
        been settled by another process.
        """

    async def levels(self, counters: Sequence[str]) -> list[Level | None]:
        """Return the counters' levels; None for a counter that has to be seeded."""

    async def holding(self, counter: str) -> tuple[int, list[str]]:
        """Return the counter's seed number, and the requests that hold some of it."""

    async def seed(
        self, counter: str, used: int, number: int, expires_s: float | None = None
    ) -> None:
        """Start a counter at the usage of ended requests; amounts in flight are added to it."""

    async def drop(self, counters: Sequence[str]) -> None:
        """Discard counters so that they are seeded again; what requests hold is kept."""

    async def held(self) -> list[Held]:
        """Return all requests in flight, of all processes, and mark this process as alive."""

    async def aclose(self) -> None:
        """Close connections."""


@dataclass
class _Counter:
    used: int | None = None
    number: int = 0
    expires: float | None = None
    holds: dict[str, int] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)

    @property
    def level(self) -> Level | None:
        if self.used is None:
            return None
        return Level(self.used, sum(self.holds.values()))


class MemoryCounters:
    """Counters of this process alone. After a crash they are seeded from the log."""

    def __init__(self) -> None:
        self._counters: dict[str, _Counter] = {}
        self._open: dict[str, tuple[str, ...]] = {}

    async def reserve(
        self, hold: str, charges: Sequence[Charge], want: Wanted
    ) -> Granted | Refused | Missing:
        """Reserve atomically: it is one step of the event loop."""
        tokens = want.most
        for place, charge in enumerate(charges):
            level = self._of(charge.counter).level
            if level is None:
                return Missing(place)
            tokens = min(tokens, _fitting(charge, level, want))
            if tokens < want.least:
                return Refused(place, level)
        for charge in charges:
            counter, amount = self._of(charge.counter), charge.amount(tokens)
            assert counter.used is not None
            counter.used += amount
            counter.holds[hold] = counter.holds.get(hold, 0) + amount
        self._open[hold] = tuple(charge.counter for charge in charges)
        levels = (self._of(charge.counter).level for charge in charges)
        return Granted(tokens, tuple(level for level in levels if level is not None))

    async def settle(self, hold: str, amounts: Mapping[str, int], *, lapsed: bool = False) -> None:
        """Replace what a request holds by what it has actually used."""
        known = self._open.pop(hold, None) is not None
        if not known and lapsed:
            return
        for name, amount in amounts.items():
            counter = self._of(name)
            if not known or hold not in counter.holds:
                counter.used, counter.number = None, counter.number + 1
            elif counter.used is None:
                counter.holds[hold] = amount
                counter.done.add(hold)
            else:
                counter.used += amount - counter.holds.pop(hold)

    async def levels(self, counters: Sequence[str]) -> list[Level | None]:
        """Return the counters' levels."""
        return [self._of(name).level for name in counters]

    async def holding(self, counter: str) -> tuple[int, list[str]]:
        """Return the counter's seed number, and the requests that hold some of it."""
        found = self._of(counter)
        return found.number, list(found.holds)

    async def seed(
        self, counter: str, used: int, number: int, expires_s: float | None = None
    ) -> None:
        """Start a counter."""
        found = self._of(counter)
        if found.used is not None or found.number != number:
            return
        self._forget_old()
        found.expires = None if expires_s is None else time.monotonic() + expires_s
        found.used = used + sum(found.holds.values())
        for hold in found.done:
            del found.holds[hold]
        found.done.clear()

    async def drop(self, counters: Sequence[str]) -> None:
        """Discard the counters, so that they are seeded again."""
        for name in counters:
            counter = self._of(name)
            counter.used, counter.number = None, counter.number + 1

    async def held(self) -> list[Held]:
        """Return the requests of this process, which is alive."""
        return [Held(hold, counters, own=True, alive=True) for hold, counters in self._open.items()]

    async def aclose(self) -> None:
        """Do nothing: no connection is open."""

    def _forget_old(self) -> None:
        now = time.monotonic()
        for name, counter in list(self._counters.items()):
            if counter.expires is not None and counter.expires < now and not counter.holds:
                del self._counters[name]

    def _of(self, counter: str) -> _Counter:
        found = self._counters.get(counter)
        if found is None:
            found = self._counters[counter] = _Counter()
        return found


def _fitting(charge: Charge, level: Level, want: Wanted) -> int:
    """Return the number of tokens that a request may have by what is left of a counter; -1 if that
    doesn't pay for the base.
    """
    left = charge.most - level.used - charge.base
    if left < 0:
        return -1
    if charge.per_million == 0:
        return want.most
    unspent = charge.most - level.used + level.held
    alone = left - unspent + unspent // ALONE
    share = max(left // SHARES, alone) // want.parts * MILLION // charge.per_million
    return min(left * MILLION // charge.per_million, max(share, want.usual), want.most)
