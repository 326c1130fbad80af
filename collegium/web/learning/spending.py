"""The budget of a learning run: reserved before each question, settled after its answer."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable


class Spending:
    """Dollars that are spent, and those that are reserved for answers in the making.

    An answer is reserved at its upper forecast; where an expert's answers cost more than that, the
    next ones are reserved at so much more. With a budget, `keep` writes `committed` before the
    question is sent: what a killed process had asked counts as spent.
    """

    def __init__(
        self,
        budget: float | None,
        spent: float = 0.0,
        keep: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.budget = budget
        self.spent = spent
        self.exhausted = False
        self._reserved: dict[tuple[int, str], tuple[str, float]] = {}
        self._beyond: dict[str, float] = defaultdict(lambda: 1.0)
        self._keep = keep
        self._freed = asyncio.Event()

    @property
    def committed(self) -> float:
        """Dollars spent, and with a budget also those reserved."""
        return self.spent + (0.0 if self.budget is None else self._taken())

    @property
    def reserved(self) -> float:
        """The part of `committed` that is not spent."""
        return self.committed - self.spent

    def _taken(self) -> float:
        return sum(usd for _, usd in self._reserved.values())

    async def reserve(self, cell: tuple[int, str], payee: str, most: float) -> bool:
        """Reserve the cost of an answer as soon as there is room for it; return False if there
        never will be.

        `cell` tells answers apart, `payee` is who gives them.
        """
        while not self.exhausted:
            wanted = most * self._beyond[payee]
            if self.budget is None or self.spent + self._taken() + wanted <= self.budget:
                self._reserved[cell] = payee, wanted
                await self._write_down(cell)
                return True
            if not self._reserved:
                self.exhausted = True
                break
            self._freed.clear()
            await self._freed.wait()
        return False

    async def _write_down(self, cell: tuple[int, str]) -> None:
        if self.budget is None or self._keep is None:
            return
        try:
            await self._keep()
        except BaseException:
            self.settle(cell, None)
            raise

    def settle(self, cell: tuple[int, str], usd: float | None) -> None:
        """Count what came of a reservation."""
        payee, reserved = self._reserved.pop(cell)
        cost = usd or 0.0
        self.spent += cost
        if reserved and cost > reserved:
            self._beyond[payee] *= cost / reserved
        self._freed.set()
