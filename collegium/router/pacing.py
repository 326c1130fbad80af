"""Keep an application's money over a window: the price of a dollar that makes its budget last.

The price is the budget's shadow price: the least number of points of quality a dollar at which
recent queries, each answered by the expert with the highest quality - price · cost, keep to what is
left for each of the queries still to come. For one budget the linear program has this closed form;
a test compares it with HiGHS. It is found anew every few queries from what was really spent, so
forecasts that are wrong and traffic that grows are corrected as the window goes.

Where most queries look alike, one price sends all of them to one expert: so there are two prices,
just above and just below, and a query gets the lower one while less was spent than planned.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from collegium.errors import ApplicationBudgetSpent
from collegium.router.decision import Forecast

Array = NDArray[np.float64]
REMEMBERED = 256
"""Queries of an application that its price is found on: 1 ms."""
EVERY = 20
"""Queries between two looks at the price."""
BINS = 48
"""Parts of a window in which the last one's traffic is remembered."""
AROUND = 0.01
"""How far the two prices lie from the exact one, relative to it."""
USUAL = 0.05
"""The share of a window's queries after which its own rate counts as much as the last one's."""
GROWING = 1.5
"""A first window's traffic may grow: it begins at night as often as at noon."""
FADING = 0.99
"""The weight of an answer against the next one's in how far costs are from their forecasts."""
DAY_S = 86_400.0


@dataclass(frozen=True)
class Budget:
    """What an application may spend in each window; windows follow each other from 1970 on."""

    usd: float
    window_s: float = DAY_S

    @classmethod
    def of(cls, policy: Mapping[str, Any]) -> Self | None:
        """The budget in an application's policy; None where it has none."""
        usd = policy.get("budget_usd")
        return None if usd is None else cls(float(usd), float(policy.get("budget_window_s", DAY_S)))


class Pacing:
    """The budgets of applications, what they have spent, and the prices that follow."""

    def __init__(
        self, budgets: Mapping[str, Budget], clock: Callable[[], float] = time.time
    ) -> None:
        self.budgets = budgets
        self._clock = clock
        self._purses: dict[str, _Purse] = {}

    def price(self, application: str | None) -> float:
        """Quality a dollar; 0 where no budget binds. ApplicationBudgetSpent where it is spent."""
        purse = self._purse(application)
        if purse is None:
            return 0.0
        if purse.left <= 0:
            raise self._spent(str(application), purse)
        return purse.price()

    def decided(self, application: str, forecasts: Sequence[Forecast]) -> None:
        """Remember what each expert would have given and cost."""
        purse = self._purse(application)
        if purse is not None:
            purse.saw(
                {
                    f.expert: (f.quality, f.cost_usd)
                    for f in forecasts
                    if f.feasible and f.quality is not None and f.cost_usd is not None
                }
            )

    def reserve(self, application: str | None, usd: float) -> None:
        """An answer has begun that is forecast to cost so much."""
        purse = self._purse(application)
        if purse is not None:
            purse.reserved += usd

    def settle(self, application: str | None, reserved: float, spent: float) -> None:
        """It has ended, and cost so much."""
        purse = self._purse(application)
        if purse is not None:
            purse.settle(reserved, spent)

    def recall(self, spending: Iterable[tuple[str, float, float]]) -> None:
        """Start from the spending of the past: application, seconds since 1970, dollars."""
        for application, at, usd in spending:
            purse = self._purse(application)
            if purse is not None and at >= purse.start:
                purse.spent += usd

    def _purse(self, application: str | None) -> _Purse | None:
        budget = None if application is None else self.budgets.get(application)
        if application is None or budget is None:
            return None
        purse = self._purses.get(application)
        if purse is None or purse.budget != budget:
            purse = self._purses[application] = _Purse(budget, self._clock())
        purse.turn(self._clock())
        return purse

    def _spent(self, application: str, purse: _Purse) -> ApplicationBudgetSpent:
        ends = datetime.fromtimestamp(purse.start + purse.budget.window_s, UTC)
        error = ApplicationBudgetSpent(
            f"the application '{application}' has spent its budget of {purse.budget.usd:g} USD; "
            f"the next window begins at {ends:%Y-%m-%d %H:%M:%S} UTC",
            "metadata.application",
        )
        error.retry_after_s = max(1, math.ceil(ends.timestamp() - self._clock()))
        return error


class _Purse:
    """One application's window."""

    def __init__(self, budget: Budget, now: float) -> None:
        self.budget = budget
        self.start = _start(budget, now)
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

    def turn(self, now: float) -> None:
        """Begin a new window where the old one is over."""
        start = _start(self.budget, now)
        self._now = now
        if start != self.start:
            follows = start == self.start + self.budget.window_s
            self._before = self._bins if follows else np.zeros(BINS)
            self._bins = np.zeros(BINS)
            self.start = self._first = start
            self.spent = 0.0
            self._look()

    def price(self) -> float:
        """The lower price while less was spent than planned, else the upper one."""
        spent = self.spent + self.reserved - self._spent_then
        ahead = spent > self._planned * self._since
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

    def _look(self) -> None:
        """Find the price anew."""
        self._news = self._since = 0
        self._spent_then = self.spent + self.reserved
        self._planned = max(self.left, 0.0) / max(self._to_come(), 1.0)
        if self._rows:
            quality, cost = _tables(list(self._rows))
            wrong = self._paid / self._forecast if self._paid and self._forecast else 1.0
            self._price = shadow_price(quality, cost, self._planned / wrong)

    def _to_come(self) -> float:
        """Queries until the window ends: as in the last window, at the rate of this one."""
        so_far, before = float(self._bins.sum()), float(self._before.sum())
        if before:
            here = self._bin()
            part = BINS * (self._now - self.start) / self.budget.window_s - here
            then = float(self._before[:here].sum() + part * self._before[here])
            few = USUAL * before
            return (before - then) * (so_far + few) / (then + few)
        took = max(self._now - self._first, self.budget.window_s / 1000)
        return GROWING * so_far / took * (self.start + self.budget.window_s - self._now)

    def _bin(self) -> int:
        part = (self._now - self.start) / self.budget.window_s
        return min(max(int(BINS * part), 0), BINS - 1)


def shadow_price(quality: Array, cost: Array, limit: float) -> float:
    """The least price at which the mean cost of the best experts is at most `limit`.

    `quality` and `cost` have shape (queries, experts), NaN where an expert can't be asked. Where
    not even the cheapest experts cost so little, the price at which all queries go to them.
    """
    quality = np.where(np.isfinite(cost), quality, np.nan)
    low, high = 0.0, _highest(quality, cost)
    if _mean_cost(quality, cost, low) <= limit:
        return 0.0
    if _mean_cost(quality, cost, high) > limit:
        return high
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        if _mean_cost(quality, cost, middle) <= limit:
            high = middle
        else:
            low = middle
    return high


def _mean_cost(quality: Array, cost: Array, price: float) -> float:
    """Of equally good choices the cheapest counts."""
    worth = quality - price * cost
    best = worth >= np.nanmax(worth, axis=1, keepdims=True) - 1e-12
    return float(np.nanmin(np.where(best, cost, np.nan), axis=1).mean())


def _highest(quality: Array, cost: Array) -> float:
    """A price above which everybody asks the cheapest expert."""
    cheapest = np.nanargmin(np.where(np.isfinite(quality), cost, np.inf), axis=1)
    rows = np.arange(len(cost))
    more = cost - cost[rows, cheapest][:, None]
    gain = quality - quality[rows, cheapest][:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        worth = np.where((more > 0) & (gain > 0), gain / more, 0.0)
    return float(np.nanmax(worth)) * (1 + 1e-6)


def _tables(rows: list[Mapping[str, tuple[float, float]]]) -> tuple[Array, Array]:
    names = {name: column for column, name in enumerate(sorted({n for row in rows for n in row}))}
    quality = np.full((len(rows), len(names)), np.nan)
    cost = np.full_like(quality, np.nan)
    for i, row in enumerate(rows):
        for name, (level, dollars) in row.items():
            quality[i, names[name]], cost[i, names[name]] = level, dollars
    return quality, cost


def _start(budget: Budget, now: float) -> float:
    return now - now % budget.window_s
