"""Wrong keys, by the address that sends them: a few a minute, and the log tells of them."""

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
    """Keys that were right before go on to work from every address: nobody locks out another."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._right: set[str] = set()
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()
        """How many each address has sent, and when its minute ends."""

    def check(self, caller: str | None, address: str) -> None:
        """Count a key that is nobody's; TooManyWrongKeys where there are too many."""
        if caller in self._right:
            return
        count, ends = self._wrong.get(address, (0, 0.0))
        if (now := self._clock()) >= ends:
            count, ends = 0, now + WITHIN_S
        if count >= MOST:
            raise TooManyWrongKeys("Too many wrong keys came from this address; try again later")
        if caller is not None:
            self._right.add(caller)
            return
        self._note(address, count + 1, ends)

    def _note(self, address: str, count: int, ends: float) -> None:
        self._wrong[address] = count, ends
        self._wrong.move_to_end(address)
        if len(self._wrong) > MOST_ADDRESSES:
            self._wrong.popitem(last=False)
        if count in (1, MOST):
            further = "" if count < MOST else f": {MOST} within {WITHIN_S:.0f} s, more are refused"
            log.warning("a wrong key came from %s%s", address or "nowhere", further)
