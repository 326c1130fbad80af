"""The time, and a clock for expiry: the system clock, unless it disagrees with what has elapsed.

Nothing is deleted because somebody set the clock: a jump of more than five minutes counts as five.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

TOLERANCE = timedelta(minutes=5)


def utc_now() -> datetime:
    """The time by the system clock, in UTC."""
    return datetime.now(UTC)


class SteadyClock:
    """Compares the wall's clock with the monotonic one since it was made."""

    def __init__(
        self,
        wall: Callable[[], datetime] = utc_now,
        passed_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall = wall
        self._passed_s = passed_s
        self._began, self._from_s = wall(), passed_s()

    def now(self) -> datetime:
        """Return the time, limited to the tolerance around the last time plus what has elapsed."""
        expected = self._began + timedelta(seconds=self._passed_s() - self._from_s)
        return min(max(self._wall(), expected - TOLERANCE), expected + TOLERANCE)
