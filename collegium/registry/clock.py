"""The time by which things end: the machine's clock, as far as it agrees with what has passed.

Nothing is deleted because somebody set the clock: a jump of more than five minutes counts as five.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

TOLERANCE = timedelta(minutes=5)


class SteadyClock:
    """Compares the wall's clock with the monotonic one since it was made."""

    def __init__(
        self,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        passed_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall = wall
        self._passed_s = passed_s
        self._began, self._from_s = wall(), passed_s()

    def now(self) -> datetime:
        """The time, at most the tolerance away from what it was plus what has passed."""
        expected = self._began + timedelta(seconds=self._passed_s() - self._from_s)
        return min(max(self._wall(), expected - TOLERANCE), expected + TOLERANCE)
