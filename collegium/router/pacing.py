"""Pace a budget over its window: the price of a dollar at which it lasts.

The price is the budget's shadow price: the least number of points of quality a dollar at which
recent queries, each answered by the expert with the highest quality - price · cost, keep to what is
left for each of the queries still to come (`shadow_price.py`). It is found anew every few queries
from what was really spent, so forecasts that are wrong and traffic that grows are corrected as the
window goes.

Where most queries look alike, one price sends all of them to one expert: so there are two prices,
just above and just below, and a query gets the lower one while less was spent than planned.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import numpy as np

from collegium.registry.budgets.limits import span
from collegium.router.decision import Forecast
from collegium.router.shadow_price import shadow_price, tables

REMEMBERED = 256
"""Queries of an application that its price is found on."""
EVERY = 20
"""Queries between two looks at the price."""
BINS = 48
"""Parts of a window in which the last one's traffic is remembered."""
AROUND = 0.01
"""The relative distance of the two prices from the exact one."""
USUAL = 0.05
"""The share of a window's queries after which its own rate counts as much as the last one's."""
GROWING = 1.5
"""A first window's traffic may grow: it begins at night as often as at noon."""
FADING = 0.99
"""The weight of an answer against the next one's in how far costs are from their forecasts."""
MOST_WINDOWS = 10_000
"""Each holds up to 256 queries; the oldest is dropped first."""


@dataclass(frozen=True)
class Budget:
    """The amount per window; windows are named as in `registry/budgets/limits.py`."""

    usd: float
    window: str = "day"

    @classmethod
    def of(cls, policy: Mapping[str, Any]) -> Self | None:
        """Return the budget in an application's policy; None if it has none."""
        usd, seconds = policy.get("budget_usd"), policy.get("budget_window_s")
        if usd is None:
            return None
        return cls(float(usd), "day" if seconds is None else f"{float(seconds)!r}s")

    def span(self, now: float) -> tuple[float, float]:
        """Return the start and end of the open window, seconds since 1970."""
        start, end = span(self.window, datetime.fromtimestamp(now, UTC))
        return start.timestamp(), math.inf if end is None else end.timestamp()


class Pacing:
    """Budgets by name, what is spent of them, and the prices that follow."""

    def __init__(
        self, budgets: Mapping[str, Budget], clock: Callable[[], float] = time.time
    ) -> None:
        self._clock = clock
        self._windows: dict[str, _Window] = {}
        for name, budget in budgets.items():
            self.follow(name, budget)

    def follow(self, name: str, budget: Budget) -> None:
        """Pace a budget; one of another amount or window takes over what the old one has seen."""
        before = self._windows.get(name)
        if before is not None and before.budget == budget:
            return
        if before is None and len(self._windows) >= MOST_WINDOWS:
            del self._windows[next(iter(self._windows))]
        window = self._windows[name] = _Window(budget, self._clock())
        if before is not None:
            window.follow(before)

    def price(self, name: str) -> float:
        """Quality per dollar; 0 if no budget binds. If it is spent, the cheapest expert is best."""
        window = self._window(name)
        return 0.0 if window is None else window.price()

    def decided(self, name: str, forecasts: Sequence[Forecast]) -> None:
        """Remember what each expert would have given and cost."""
        window = self._window(name)
        if window is not None:
            window.saw(
                {
                    f.expert: (f.quality, f.cost_usd)
                    for f in forecasts
                    if f.feasible and f.quality is not None and f.cost_usd is not None
                }
            )

    def spent(self, name: str, usd: float) -> None:
        """Record what all replicas have spent in the open window."""
        window = self._window(name)
        if window is not None:
            window.spent = usd

    def reserve(self, name: str, usd: float) -> None:
        """Plan with what an answer is forecast to cost."""
        window = self._window(name)
        if window is not None:
            window.reserved += usd

    def settle(self, name: str, reserved: float, spent: float) -> None:
        """It has ended, and cost so much."""
        window = self._window(name)
        if window is not None:
            window.settle(reserved, spent)

    def _window(self, name: str) -> _Window | None:
        window = self._windows.get(name)
        if window is not None:
            window.turn(self._clock())
        return window


class _Window:
    """One budget's window."""

    def __init__(self, budget: Budget, now: float) -> None:
        self.budget = budget
        self.start, self.end = budget.span(now)
        self.spent = 0.0
        self.reserved = 0.0
        self._now = self._first = now
        self._bins, self._before = np.zeros(BINS), np.zeros(BINS)
        self._rows: deque[Mapping[str, tuple[float, float]]] = deque(maxlen=REMEMBERED)
        self._news = 0
        self._price = 0.0
        self._planned = math.inf
        self._since = 0
        self._spent_then = 0.0
        self._forecast = self._paid = 0.0

    @property
    def left(self) -> float:
        """Neither spent nor reserved."""
        return self.budget.usd - self.spent - self.reserved

    def follow(self, before: _Window) -> None:
        """Take over what does not depend on the budget from the one that was there before."""
        self.reserved = before.reserved
        self._rows = before._rows
        if before.budget.window == self.budget.window:
            self._bins, self._before, self._first = before._bins, before._before, before._first
            self.spent = before.spent
        self._look()

    def turn(self, now: float) -> None:
        """Begin a new window if the old one is over."""
        self._now = now
        if self.start <= now < self.end:
            return
        before = self.end
        self.start, self.end = self.budget.span(now)
        self._before = self._bins if self.start == before else np.zeros(BINS)
        self._bins = np.zeros(BINS)
        self._first = self.start
        self.spent = 0.0
        self._look()

    def price(self) -> float:
        """The lower price while spending is below plan, otherwise the upper one."""
        spent = self.spent + self.reserved - self._spent_then
        ahead = self.left <= 0 or spent > self._planned * self._since
        self._since += 1
        return self._price * (1 + AROUND if ahead else 1 - AROUND)

    def saw(self, row: Mapping[str, tuple[float, float]]) -> None:
        """A query came; these are its experts' qualities and costs."""
        self._bins[self._bin()] += 1
        if row:
            self._rows.append(row)
        self._news += 1
        if self._news >= min(EVERY, len(self._rows)):
            self._look()

    def settle(self, reserved: float, spent: float) -> None:
        """An answer that was forecast to cost `reserved` has cost `spent`."""
        self.reserved = max(self.reserved - reserved, 0.0)
        self.spent += spent
        self._forecast = FADING * self._forecast + reserved
        self._paid = FADING * self._paid + spent

    @property
    def _length(self) -> float:
        """The length of the window, seconds."""
        return self.end - self.start

    def _look(self) -> None:
        """Find the price anew."""
        self._news = self._since = 0
        self._spent_then = self.spent + self.reserved
        if self.end == math.inf:  # nothing is known of how long the money has to last
            return
        self._planned = max(self.left, 0.0) / max(self._to_come(), 1.0)
        if self._rows:
            quality, cost = tables(self._rows)
            wrong = self._paid / self._forecast if self._paid and self._forecast else 1.0
            self._price = shadow_price(quality, cost, self._planned / wrong)

    def _to_come(self) -> float:
        """Queries until the window ends: as in the last window, at the rate of this one."""
        so_far, before = float(self._bins.sum()), float(self._before.sum())
        if before:
            here = self._bin()
            part = BINS * (self._now - self.start) / self._length - here
            then = float(self._before[:here].sum() + part * self._before[here])
            few = USUAL * before
            return (before - then) * (so_far + few) / (then + few)
        took = max(self._now - self._first, self._length / 1000)
        return GROWING * so_far / took * (self.end - self._now)

    def _bin(self) -> int:
        part = (self._now - self.start) / self._length
        return min(max(int(BINS * part), 0), BINS - 1)
