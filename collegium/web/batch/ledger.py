"""The money of a bulk job: what is spent, what is reserved for lines in flight, and what is left.

Each reservation is on disk before its line is asked, and each line's cost before the line counts as
finished. A line that was in flight when the process was killed may have been billed: what was
reserved for it stays spent, and it is reserved anew when it is asked again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from collegium.errors import BudgetExhausted
from collegium.experts.bulk.journal import Journal

GENEROUS = 4.0
"""So many times what 98 % of answers stay within is reserved where money is left for it: an answer
that is longer still was not seen in 66,000 recorded ones. Where less is left, the line's
`max_tokens` is cut to what is reserved."""
LINES_AT_ONCE = 16
"""Among so many lines what is left is shared."""
EXACT = 1e-9


@dataclass(frozen=True)
class Grant:
    """Money that a line may cost; `tight` where a longer answer would cost more."""

    usd: float
    tight: bool


class Ledger:
    """Spent and reserved money of one job; without a budget everything is granted."""

    def __init__(self, budget_usd: float | None, journal: Journal) -> None:
        self.budget_usd = budget_usd
        self.spent = 0.0
        self._reserved: dict[int, float] = {}
        self._journal = journal
        self._change = asyncio.Condition()

    @property
    def reserved(self) -> float:
        """For lines that are being asked."""
        return sum(self._reserved.values())

    @property
    def left(self) -> float:
        """Neither spent nor reserved."""
        return float("inf") if self.budget_usd is None else self._unspent() - self.reserved

    def recover(self) -> None:
        """Read what an earlier process wrote."""
        for record in self._journal.open():
            line = int(record["line"])
            if (cost := record.get("spent")) is not None:
                self._reserved.pop(line, None)
                self.spent += cost
            else:  # asked once more: the time before may have been billed
                self.spent += self._reserved.pop(line, 0.0)
                self._reserved[line] = record["reserved"]
        self.spent += self.reserved
        self._reserved.clear()

    async def reserve(
        self, line: int, most_usd: float | None, wish_usd: float | None = None
    ) -> Grant:
        """Wait until a line's upper forecast fits; BudgetExhausted where it will not.

        As long as money may come back, `wish_usd` is waited for, where that is more.
        """
        if self.budget_usd is None:
            return Grant(most_usd or 0.0, tight=False)
        if most_usd is None:
            raise BudgetExhausted("what this line may cost is not known", "routing")
        wish = max(most_usd, wish_usd or 0.0)
        async with self._change:
            while wish > self._room:
                if not self._reserved:
                    if most_usd > self._room:
                        raise self._exhausted(most_usd)
                    wish = max(self.left, most_usd)
                    break
                await self._change.wait()
            share = max(min(self.left / LINES_AT_ONCE, GENEROUS * most_usd), wish)
            self._reserved[line] = share
        await self._journal.append({"line": line, "reserved": share})
        return Grant(share, tight=0 < share < GENEROUS * most_usd)

    async def settle(self, line: int, cost_usd: float | None) -> None:
        """A line was asked; None where nobody knows what it cost: what was reserved is spent."""
        async with self._change:
            reserved = self._reserved.pop(line, 0.0)
            cost = reserved if cost_usd is None else cost_usd
            self.spent += cost
            self._change.notify_all()
        if self.budget_usd is not None:
            await self._journal.append({"line": line, "spent": cost})

    def shown(self, rest_usd: float | None) -> Mapping[str, float | None]:
        """What people are told; `rest_usd` is the forecast of lines that were not asked yet."""
        return {
            "budget_usd": self.budget_usd,
            "spent_usd": self.spent,
            "reserved_usd": self.reserved,
            "forecast_rest_usd": rest_usd,
        }

    async def close(self) -> None:
        """Finish what is being written."""
        await self._journal.close()

    @property
    def _room(self) -> float:
        """What is left, as far as sums of floats can tell."""
        return self.left + EXACT * (self.budget_usd or 0.0)

    def _unspent(self) -> float:
        return (self.budget_usd or 0.0) - self.spent

    def _exhausted(self, most_usd: float) -> BudgetExhausted:
        return BudgetExhausted(
            f"the job's budget of {self.budget_usd:g} USD is exhausted: {self.spent:.6g} USD are "
            f"spent, and this line may cost {most_usd:.6g} USD",
            "routing.max_cost_usd",
        )
