"""The promises of `balanced` and `cheap` for the present experts and prices."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from collegium.registry.expert import Expert
from collegium.router.artifact import FittedRouter
from collegium.router.beliefs.promise import Promise, costs, promise

REMEMBERED = 64
"""Pools and promises whose tolerance is kept: one takes about 50 ms to find."""


@dataclass(frozen=True)
class _Pool:
    """The experts of a pool that the router knows; the latest pool is cached."""

    experts: Sequence[Expert]
    asked: Sequence[int | None]
    columns: tuple[int, ...]
    names: tuple[str, ...]
    prices: tuple[tuple[float | None, float | None], ...]

    @classmethod
    def of(cls, experts: Sequence[Expert], columns: Sequence[int | None]) -> _Pool:
        known = [(c, e) for c, e in zip(columns, experts, strict=True) if c is not None]
        return cls(
            experts,
            columns,
            tuple(c for c, _ in known),
            tuple(e.name for _, e in known),
            tuple((e.input_price, e.output_price) for _, e in known),
        )


class Promises:
    """Tolerances that keep a promised loss, measured on the marks of a fitted router."""

    def __init__(self, fitted: FittedRouter) -> None:
        self._held = fitted.beliefs.held_
        self._tokens = fitted.held_tokens
        self._known: OrderedDict[object, Promise | None] = OrderedDict()
        self._pool: _Pool | None = None

    def of(
        self, experts: Sequence[Expert], columns: Sequence[int | None], most_loss: float
    ) -> tuple[Promise, str] | None:
        """Return the promise for these experts and the best single one; None with too few marks.

        `columns` are their places in the fitted router, None for those that it does not know.
        """
        pool = self._pool
        if pool is None or pool.asked is not columns or pool.experts != experts:
            pool = self._pool = _Pool.of(experts, columns)
        key = most_loss, pool.columns, pool.prices
        if key not in self._known:
            self._known[key] = self._measured(pool, most_loss)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        found = self._known[key]
        return None if found is None else (found, pool.names[found.best])

    def _measured(self, pool: _Pool, most_loss: float) -> Promise | None:
        columns, prices = list(pool.columns), pool.prices
        if len(columns) < 2:
            return None
        tokens = self._tokens[:, [0, *(1 + c for c in columns)]]
        spent = costs(tokens, prices)
        quality, scores = self._held.quality[:, columns], self._held.scores[:, columns]
        return promise(quality, scores, spent, most_loss=most_loss)
