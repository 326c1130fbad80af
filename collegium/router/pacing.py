"""Keep an application's money over a window: the price of a dollar that makes its budget last.

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

from collegium.errors import ApplicationBudgetSpent
from collegium.router.decision import Forecast
from collegium.router.shadow_price import shadow_price, tables

REMEMBERED = 256
"""Queries of an application that its price is found on."""
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

    def start(self, now: float) -> float:
        """When the window that is open now began, in seconds since 1970."""
        return now - now % self.window_s


@dataclass(frozen=True)
class Window:
    """What an application has spent in the window that is open now."""

    budget: Budget
    spent: float
    reserved: float
    """The forecasts of answers in flight."""
    start: float

    @property
    def left(self) -> float:
        """Neither spent nor reserved; not below 0, though a last answer may have cost more."""
        return max(self.budget.usd - self.spent - self.reserved, 0.0)

    @property
    def ends(self) -> datetime:
        """When the next one begins."""
        return datetime.fromtimestamp(self.start + self.budget.window_s, UTC)


class Pacing:
    """The budgets of applications, what they have spent, and the prices that follow."""

    def __init__(
        self, budgets: Mapping[str, Budget], clock: Callable[[], float] = time.time
    ) -> None:
        self._budgets = dict(budgets)
        self._clock = clock
        self._purses: dict[str, _Purse] = {}

    def begin(self, application: str, budget: Budget, spent: float) -> None:
        """Give an application a budget, of which so much is spent in the window that is open."""
        before = self._purse(application)
        self._budgets[application] = budget
        purse = self._purses[application] = _Purse(budget, self._clock())
        purse.spent = spent
        if before is not None:
            purse.follow(before)

    def end(self, application: str) -> None:
        """Take an application's budget away."""
        self._budgets.pop(application, None)
        self._purses.pop(application, None)

    def budget(self, application: str) -> Budget | None:
        """The budget of an application; None where it has none."""
        return self._budgets.get(application)

    def now(self) -> float:
        """Seconds since 1970."""
        return self._clock()

    def window(self, application: str) -> Window | None:
        """What an application has spent; None where it has no budget."""
        purse = self._purse(application)
        if purse is None:
            return None
        return Window(purse.budget, purse.spent, purse.reserved, purse.start)

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
        """Set aside what an answer is forecast to cost; ApplicationBudgetSpent if nothing is left.

        Nothing is awaited between the check and the reservation: of requests that come at the
        same time, those find nothing left that come after it is reserved.
        """
        purse = self._purse(application)
        if purse is None:
            return
        if purse.left <= 0:
            raise self._spent(str(application), purse)
        purse.reserved += usd

    def settle(self, application: str | None, reserved: float, spent: float) -> None:
        """It has ended, and cost so much."""
        purse = self._purse(application)
        if purse is not None:
            purse.settle(reserved, spent)

    def _purse(self, application: str | None) -> _Purse | None:
        budget = None if application is None else self._budgets.get(application)
        if application is None or budget is None:
            return None
        now = self._clock()
        purse = self._purses.get(application)
        if purse is None:
            purse = self._purses[application] = _Purse(budget, now)
        purse.turn(now)
        return purse

    def _spent(self, application: str, purse: _Purse) -> ApplicationBudgetSpent:
        ends = Window(purse.budget, purse.spent, purse.reserved, purse.start).ends
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
        self.start = budget.start(now)
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

    def follow(self, before: _Purse) -> None:
        """Take over what does not depend on the budget from the one that was there before."""
        self.reserved = before.reserved
        self._rows = before._rows
        if before.budget.window_s == self.budget.window_s:
            self._bins, self._before, self._first = before._bins, before._before, before._first
        self._look()

    def turn(self, now: float) -> None:
        """Begin a new window where the old one is over."""
        start = self.budget.start(now)
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
            quality, cost = tables(self._rows)
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
