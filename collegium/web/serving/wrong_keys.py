"""Limits wrong keys per address and minute, and logs them."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable

from collegium.errors import TooManyWrongKeys

log = logging.getLogger(__name__)
MOST, WITHIN_S = 30, 60.0
MOST_ADDRESSES = 10_000


class WrongKeys:
    """Counts only wrong keys. A correct key is never refused, so nobody can lock out another
    caller.

    So this bounds what an address can write to the log and learn of keys that have ended. Guessing
    is bounded by the keys' length: those that `collegium key` makes have 256 bits.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, most: int = MOST) -> None:
        self._clock = clock
        self._most = most
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()
        """The number of wrong keys of each address, and when its minute ends."""

    @classmethod
    def of_one(cls, processes: int) -> WrongKeys:
        """What one of several processes allows, so that all together allow no more."""
        return cls(most=max(1, MOST // processes))

    def check(self, caller: str | None, address: str) -> None:
        """Count a wrong key; raise TooManyWrongKeys if there are too many."""
        if caller is not None:
            return
        count, ends = self._wrong.get(address, (0, 0.0))
        if (now := self._clock()) >= ends:
            count, ends = 0, now + WITHIN_S
        if count >= self._most:
            raise TooManyWrongKeys("Too many wrong keys from this address; try again later")
        self._note(address, count + 1, ends)

    def _note(self, address: str, count: int, ends: float) -> None:
        self._wrong[address] = count, ends
        self._wrong.move_to_end(address)
        if len(self._wrong) > MOST_ADDRESSES:
            self._wrong.popitem(last=False)
        if count in (1, self._most):
            further = (
                ""
                if count < self._most
                else f": {self._most} within {WITHIN_S:.0f} s, more are refused"
            )
            log.warning("a wrong key came from %s%s", address or "nowhere", further)
