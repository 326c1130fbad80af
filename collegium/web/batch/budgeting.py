"""Check whether a bulk job's forecasts hold, and whether its budget covers the rest of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from collegium.router.assignment import JobLimits
from collegium.router.decision import Decision, Forecast
from collegium.web.batch.ledger import Ledger

FEWEST = 5
SHARE = 0.1
"""A job is planned again at most once per this many lines and this share of them."""
MOST_PLANS = 8
"""A job that needs more plans than this fails its last lines for lack of budget."""
SURPRISE, TESTED = 6.0, 10
"""A job's texts may be unlike any before: until an expert has answered TESTED lines, SURPRISE times
the mean is reserved for each.
"""
TOLERANCE = 1.05
"""How far the forecast of the rest may exceed the remaining budget."""


class Budgeting:
    """Compares what lines have cost with their forecasts."""

    def __init__(self, limits: JobLimits, ledger: Ledger) -> None:
        self.is_behind = False
        """Whether the lines that were not asked yet have to be planned anew."""
        self._limits = limits
        self._ledger = ledger
        self._forecast: dict[int, float] = {}
        self._rest = 0.0
        self._seen = 0.0
        self._answered = 0
        self._plans = 0
        self._by: Counter[str] = Counter()
        self._spent_before = ledger.spent

    @property
    def in_dollars(self) -> bool:
        """Whether the job has a limit in dollars."""
        return self._limits.budget_usd is not None

    def begin(self, decisions: Mapping[int, Decision]) -> None:
        """Take the plan of the lines that are left."""
        self.is_behind = False
        self._plans += 1
        self._forecast = {n: d.forecast.cost_usd or 0.0 for n, d in decisions.items()}
        self._rest = sum(self._forecast.values())
        self._seen, self._answered = 0.0, 0
        self._spent_before = self._ledger.spent

    def wish_usd(self, forecast: Forecast) -> float:
        """Return what should be reserved for a line if the budget allows it."""
        known = self._by[forecast.expert] >= TESTED
        return 0.0 if known else SURPRISE * (forecast.cost_usd or 0.0)

    def answered(self, line: int, expert: str) -> None:
        """A line has cost what the ledger says."""
        self._by[expert] += 1
        forecast = self._forecast.pop(line, 0.0)
        self._rest -= forecast
        self._seen += forecast
        self._answered += 1
        planned = self._answered + len(self._forecast)
        due = self._answered >= max(FEWEST, SHARE * planned)
        if due and self._plans < MOST_PLANS and self._ledger.budget_usd is not None:
            unspent = self._ledger.budget_usd - self._ledger.spent
            self.is_behind = self.rest_usd > TOLERANCE * max(unspent, 0.0)

    def failed(self, line: int) -> None:
        """A line has ended without an answer."""
        self._rest -= self._forecast.pop(line, 0.0)

    @property
    def rest_usd(self) -> float:
        """The forecast of what was not answered yet, corrected by how the others turned out."""
        spent = self._ledger.spent - self._spent_before
        wrong = spent / self._seen if self._answered >= FEWEST and self._seen > 0 else 1.0
        return max(self._rest, 0.0) * wrong if self._forecast else 0.0  # not 1e-21

    def limits_left(self, done: Iterable[Decision]) -> JobLimits:
        """The job's limits for the lines that are left."""
        taken = Counter(decision.expert for decision in done)
        capacity = {n: max(most - taken[n], 0) for n, most in self._limits.capacity.items()}
        budget = self._limits.budget_usd
        left = None if budget is None else max(budget - self._ledger.spent, 0.0)
        return JobLimits(left, capacity)
