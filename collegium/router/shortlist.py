"""Reduce a large pool to the experts that can affect a decision."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from collegium.errors import ExpertError
from collegium.experts.clients.counting import estimated_tokens
from collegium.experts.clients.usage import MOST_TOKENS
from collegium.experts.pricing import plainly_priced
from collegium.registry.expert import Expert
from collegium.router.choosing import doubt_of
from collegium.router.costs import DEFAULT_TOKENS, price_usd
from collegium.router.decision import Limits, Query
from collegium.router.forecasting import (
    ENOUGH_EVIDENCE,
    ENOUGH_MEASURED,
    ByFingerprint,
    Reading,
    known_as,
)
from collegium.router.priors import cheapest, day_one_rank

Array = NDArray[np.float64]
Availability = Callable[[Expert], ExpertError | None]
SIZE = 24
"""Pools up to this size are forecast whole; of larger ones this many, and who is down."""


@dataclass(frozen=True)
class _Columns:
    """A pool as arrays, one entry an expert; `column` is that in the fitted router, -1 for none."""

    experts: tuple[Expert, ...]
    column: NDArray[np.intp]
    newcomers: NDArray[np.intp]
    levels: Array
    """The newcomers' measured levels by skill, NaN if there is none, shape (m, skills)."""
    input_price: Array
    """Infinite if it is unknown, so that such an expert sorts last by price."""
    output_price: Array
    otherwise_priced: Sequence[int]
    """Experts whose price depends on more than the numbers of tokens."""
    by_prior: NDArray[np.intp]
    """The pool, best first by what is known without marks; generalists lead."""
    by_price: NDArray[np.intp]
    general: NDArray[np.bool_]
    generalists: NDArray[np.intp]
    position: Mapping[str, int]


class Shortlist:
    """Selects the experts most likely to be correct and, if cost matters, the cheapest good ones.

    The choice among them is the choice among all: `choose` takes the cheapest expert within a
    tolerance of the best one, and both are here. (Of more than SIZE / 2 experts that are equal in
    price and chance, only some are: then it is one of the equals.) A request with other limits,
    or one for a named expert, gets the whole pool, as each expert's forecast is to be told.
    """

    def __init__(
        self,
        skills: Sequence[str],
        size: int = SIZE,
    ) -> None:
        self._skills = skills
        self._size = size
        self._columns: _Columns | None = None

    def of(
        self,
        experts: Sequence[Expert],
        query: Query,
        reading: Reading,
        unavailable: Availability,
        tolerated: float,
        incumbent: str | None = None,
    ) -> Sequence[Expert]:
        """Return the experts to forecast, in the pool's order; unavailable ones don't count.

        `tolerated` is how much P(correct) is given up for money; an `incumbent` is always one.
        """
        if len(experts) <= self._size or not _narrow(query.limits):
            return experts
        pool = self._pool(tuple(experts), reading.quality)
        down: list[int] = []
        while True:
            picked = {*self._pick(pool, query, reading, down, tolerated)}
            picked |= {pool.position.get(incumbent or "", -1)} - {-1, *down}
            found = [i for i in picked if unavailable(experts[i]) is not None]
            if not found:
                return [experts[i] for i in sorted({*picked, *down})]
            down += found

    def _pick(
        self,
        pool: _Columns,
        query: Query,
        reading: Reading,
        down: Sequence[int],
        tolerated: float,
    ) -> list[int]:
        quality = self._quality(pool, reading)
        for name, points in query.lowered.items():
            if name in pool.position:
                at = pool.position[name]
                quality[at] = max(quality[at] - points, 0.0)
        quality[down] = np.nan
        best = _smallest(-quality, self._size // 2)
        chosen = {*best, *self._cheapest(pool, query, reading, quality, tolerated)}
        chosen |= {pool.position.get(query.session_expert or "", -1)} - {-1, *down}
        if not best:  # nobody was measured: who is expected to be best or is cheapest answers
            first = [*pool.by_prior[: self._size], *pool.by_price[: self._size]]
            chosen |= {int(i) for i in first} - set(down)
        if reading.evidence < 1:  # the less is known, the more count generalists
            chosen |= {int(i) for i in pool.generalists[: self._size]} - set(down)
        return sorted(chosen)

    def _cheapest(
        self, pool: _Columns, query: Query, reading: Reading, quality: Array, tolerated: float
    ) -> list[int]:
        """The cheapest experts that the trade-off calls good enough."""
        if np.isnan(quality).all():
            return []
        prompt = query.prompt_tokens or estimated_tokens(query.text)
        tokens = np.full(len(quality), float(DEFAULT_TOKENS))
        known = pool.column >= 0
        tokens[known] = reading.tokens.array[pool.column[known]].round()
        tokens = np.clip(tokens, 1, query.max_tokens)
        cost = (prompt * pool.input_price + tokens * pool.output_price) / 1_000_000
        for at in pool.otherwise_priced:
            usd = price_usd(pool.experts[at], prompt, int(tokens[at]))
            cost[at] = np.inf if usd is None else usd
        worth = quality - query.price * cost if query.price else quality
        good_enough = worth >= np.nanmax(worth) - tolerated
        cheapest = _smallest(np.where(good_enough, cost, np.nan), self._size // 2, -worth)
        return [*cheapest, *_smallest(-worth, self._size // 4)] if query.price else cheapest

    def _quality(self, pool: _Columns, reading: Reading) -> Array:
        """P(correct) by expert, NaN if unknown, shape (e,)."""
        quality = reading.quality.array[pool.column]
        weights = np.array([reading.skills[s] for s in self._skills])
        known = ~np.isnan(pool.levels)
        weight = known @ weights
        enough = (weight >= ENOUGH_MEASURED) & (reading.evidence >= ENOUGH_EVIDENCE)
        level = np.where(known, pool.levels, 0.0) @ weights
        quality[pool.newcomers] = np.where(enough, level / np.where(enough, weight, 1.0), np.nan)
        if pool.general.any():  # as `doubted` does
            doubted = np.maximum(quality - doubt_of(reading), 0.0)
            quality = np.where(pool.general, quality, doubted)
        return np.asarray(quality)

    def _pool(self, experts: tuple[Expert, ...], known: ByFingerprint) -> _Columns:
        """Return the pool's arrays, rebuilt only after an expert has changed."""
        if self._columns is None or self._columns.experts != experts:
            self._columns = self._arrays(experts, known)
        return self._columns

    def _arrays(self, experts: tuple[Expert, ...], known: ByFingerprint) -> _Columns:
        column = np.array([known.columns.get(known_as(e, known.columns), -1) for e in experts])
        newcomers = np.flatnonzero(column < 0)
        levels = [[experts[i].skills.get(s, np.nan) for s in self._skills] for i in newcomers]
        position = {e.name: i for i, e in enumerate(experts)}
        by_prior = np.array([position[e.name] for e in day_one_rank(experts)])
        by_price = np.array([position[e.name] for e in cheapest(experts)])
        general = np.array([e.generalist for e in experts])
        return _Columns(
            experts,
            column,
            newcomers,
            np.array(levels).reshape(len(newcomers), len(self._skills)),
            np.array([np.inf if e.input_price is None else e.input_price for e in experts]),
            np.array([np.inf if e.output_price is None else e.output_price for e in experts]),
            [i for i, e in enumerate(experts) if not plainly_priced(e, MOST_TOKENS)],
            np.concatenate([by_prior[general[by_prior]], by_prior[~general[by_prior]]]),
            np.concatenate([by_price[general[by_price]], by_price[~general[by_price]]]),
            general,
            by_prior[general[by_prior]],
            position,
        )


def _narrow(limits: Limits) -> bool:
    """Whether the request's limits are only who may be asked, and the trade-off."""
    return limits == Limits(
        tradeoff=limits.tradeoff,
        experts_allow=limits.experts_allow,
        experts_deny=limits.experts_deny,
        require=limits.require,
    )


def _smallest(values: Array, count: int, ties: Array | None = None) -> list[int]:
    """Return the indices of the `count` smallest values, ignoring NaN."""
    known = np.flatnonzero(~np.isnan(values))
    keys = (values[known],) if ties is None else (ties[known], values[known])
    return [int(i) for i in known[np.lexsort(keys)[:count]]]
