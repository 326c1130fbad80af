"""Claims of several holders on one number of things: for the workers of one service, and for each
replica while Redis is away. `redis_state.py` has the same in Lua: change both.

Who is refused has the next one that becomes free, before holders that came later. Otherwise a
holder that always has requests waiting leaves none to the others: of two replicas that had eight
requests each for four slots, the second one made 8 answers while the first made 592.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Literal

WANTED_S = 0.25
"""How long a refused claim keeps its turn; it has to be repeated meanwhile."""
REFUSED: Literal[0] = 0
TAKEN: Literal[1] = 1
WANTED: Literal[2] = 2
"""Taken, but others wait for some, or hardly any are left: what is not used is to be released."""
KEPT_FREE = 8
"""One of so many is left to those who have none."""
Answer = Literal[0, 1, 2]


@dataclass
class Claim:
    """What a holder has of a thing, and since when it waits for more."""

    count: int = 0
    expires: float = inf
    waits_since: float = 0.0
    waits_until: float = 0.0
    """When it stops waiting, unless it claims again."""


class Claims:
    """All holders' claims, by what is claimed."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._claims: dict[str, dict[str, Claim]] = {}

    def claim(
        self, key: str, holder: str, count: int, most: int, ttl_s: float, leave: int = 0
    ) -> Answer:
        """Claim `count` of `most`, as `SharedState.claim` does."""
        now = self._clock()
        held = {h: c for h, c in self._claims.get(key, {}).items() if c.expires > now}
        self._claims[key] = held
        mine = held.setdefault(holder, Claim())
        others = [claim for name, claim in held.items() if name != holder]
        waiting = [claim for claim in others if claim.waits_until > now]
        since = mine.waits_since if mine.waits_until > now else now
        free = most - count - sum(claim.count for claim in others)
        mine.expires = now + ttl_s
        if count > mine.count:
            earlier = sum(claim.waits_since < since for claim in waiting)
            if free < max(earlier, leave):
                mine.waits_since, mine.waits_until = since, now + WANTED_S
                return REFUSED
            mine.waits_until = 0.0
        mine.count = count
        return WANTED if waiting or free < most // KEPT_FREE else TAKEN
