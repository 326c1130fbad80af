"""Bring the budgets in applications' policies, and what was spent of them, to who paces them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from collegium.registry.decisions import DecisionLog
from collegium.router.pacing import Budget, Pacing


class Budgets:
    """What is spent is read from the log where a budget is new, and counted from then on."""

    def __init__(self, pacing: Pacing, log: DecisionLog) -> None:
        self._pacing = pacing
        self._log = log
        self._given: dict[str, Budget] = {}
        """Of all applications; one that is merged into another keeps to the other's."""

    async def follow(
        self,
        policies: Mapping[str, Mapping[str, Any]],
        regrouped: Iterable[str],
        final: Callable[[str], str],
    ) -> None:
        """Take over policies by key, and count anew for those that were merged or split.

        `final` is what an application's requests count for.
        """
        changed = {key for key, policy in policies.items() if self._changed(key, policy)}
        sums: dict[float, Mapping[str, float]] = {}
        for key in sorted(changed.union(regrouped)):
            budget = self._given.get(key) if final(key) == key else None
            if budget is None:
                self._pacing.end(key)
                continue
            since = budget.start(self._pacing.now())
            if since not in sums:
                sums[since] = await self._log.spent(datetime.fromtimestamp(since, UTC))
            spent = sum(usd for name, usd in sums[since].items() if final(name) == key)
            self._pacing.begin(key, budget, spent)

    def _changed(self, key: str, policy: Mapping[str, Any]) -> bool:
        budget = Budget.of(policy)
        if budget is None:
            self._given.pop(key, None)
        else:
            self._given[key] = budget
        return budget != self._pacing.budget(key)
