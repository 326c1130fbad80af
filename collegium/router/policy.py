"""Choose one expert from the forecasts, by pure functions of tolerances and limits."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import Any

import numpy as np

from collegium.errors import ArtifactRejected
from collegium.router.decision import Forecast

MS_PER_MINUTE = 60_000
SWITCH_GAIN = 0.1
"""A conversation changes its expert only for a gain in P(correct) above this."""
CACHE_PRICE = 100.0
"""The value in P(correct) of a dollar of lost prompt cache, unless a price is set: a correct answer
is worth one cent.
"""
DITHER = 0.01
"""How much the tolerance varies between queries, deterministically by their text.

Where many queries look alike to the encoder, one tolerance sends all of them or none; with this, a
share of them.
"""
STOPS = 11
"""The trade-offs 0, 1, … 10 whose tolerances a router's card keeps."""


def tolerance(tradeoff: float) -> float:
    """Return how much P(correct) may be given up for money: 0 at 0, 0.25 at 5, all at 10.

    A calibrated router has `Tolerances` of its own (`collegium/router/tradeoff.py` measures them).
    """
    return (tradeoff / 10) ** 2


@dataclass(frozen=True)
class Tolerances:
    """The tolerance of each trade-off from 0 to 10, as the router's card states it.

    A floor in the card (`conformal.py`) is never crossed, whatever the trade-off.
    """

    stops: tuple[float, ...] | None = None
    most: float = 1.0

    @classmethod
    def of(cls, card: Mapping[str, Any]) -> Tolerances:
        """Parse a card; raise ArtifactRejected if it is invalid."""
        try:
            stops = card["tradeoff"]["tolerances"] if "tradeoff" in card else None
            most = card["floor"]["tolerance"] if "floor" in card else 1.0
            found = cls(None if stops is None else tuple(map(float, stops)), float(most))
        except (LookupError, TypeError, ValueError) as exc:
            raise ArtifactRejected(f"the router's card has invalid tolerances: {exc}") from exc
        if not found._plausible():
            raise ArtifactRejected(
                f"the router's card needs {STOPS} increasing tolerances from 0 to 1"
            )
        return found

    def at(self, tradeoff: float, text: str = "") -> float:
        """Return how much P(correct) a query gives up for money; exactly 0 at 0."""
        if self.stops is None:
            return min(tolerance(tradeoff), self.most)
        usual = float(np.interp(tradeoff, np.arange(STOPS), self.stops))
        if usual == 0:
            return 0.0
        digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=4).digest()
        chance = int.from_bytes(digest) / 2**32
        spread = DITHER * (chance - 0.5)
        return min(max(usual + spread, 0.0), self.most)

    def _plausible(self) -> bool:
        stops = (0.0,) * STOPS if self.stops is None else self.stops
        rising = all(0 <= a <= b <= 1 for a, b in pairwise(stops))
        return len(stops) == STOPS and rising and 0 <= self.most <= 1


def choose(
    forecasts: Sequence[Forecast],
    *,
    tradeoff: float = 0.0,
    tolerated: float | None = None,
    price: float = 0.0,
    ahead: tuple[str | None, float] = (None, 0.0),
    most: float = 1.0,
    below: float = inf,
) -> Forecast | None:
    """The cheapest feasible expert within the tolerance of the best; ties go to quality.

    `tolerated` takes the place of the trade-off's tolerance where a router was calibrated. Best is
    who is worth most: P(correct) less what a dollar is worth (`price`) for each that it costs; one
    expert may be so much `ahead`, and nobody answers whose P(correct) is more than `below` under
    that one's, or more than `most` under the highest. None when no feasible expert has a known
    quality.
    """
    known = [f for f in forecasts if f.feasible and f.quality is not None]
    if not known:
        return None
    given_up = tolerance(tradeoff) if tolerated is None else tolerated
    least = max(map(quality, known)) - most
    known = [f for f in known if quality(f) >= least]
    name, lead = ahead
    usual = next((quality(f) for f in known if f.expert == name), -inf)
    known = [f for f in known if quality(f) >= usual - below] or known
    worth = [_worth_in_money(f, price) + (lead if f.expert == name else 0.0) for f in known]
    floor = max(worth) - given_up
    good_enough = [f for f, value in zip(known, worth, strict=True) if value >= floor]
    return min(good_enough, key=lambda f: (cost(f), -quality(f), f.latency_ms))


def _worth_in_money(forecast: Forecast, price: float) -> float:
    return quality(forecast) - (price * cost(forecast) if price else 0.0)


def sooner(
    forecasts: Sequence[Forecast], chosen: Forecast, penalty: float, floor: float
) -> Forecast:
    """Return the best expert if a minute's wait for an engine costs `penalty` of P(correct).

    Only those count that cost no more money than the chosen one and, but for that one itself,
    are at least as good as `floor`; ties go to quality.
    """
    if not chosen.wait_ms or not penalty or chosen.quality is None:
        return chosen
    rivals = [
        f
        for f in forecasts
        if f.feasible and quality(f) >= max(floor, 0.0) and cost(f) <= cost(chosen)
    ]
    return max([chosen, *rivals], key=lambda f: (_worth(f, penalty), quality(f)))


def _worth(forecast: Forecast, penalty: float) -> float:
    return quality(forecast) - penalty * forecast.wait_ms / MS_PER_MINUTE


def keeps(previous: Forecast | None, best: Forecast, price: float = 0.0) -> bool:
    """Whether a conversation stays with its expert, given the best one for the new query.

    A change has to gain more than the prompt cache that it loses, at `price` a dollar.
    """
    if previous is None or not previous.feasible or previous.quality is None:
        return False
    lost = max(price, CACHE_PRICE) * previous.cache_usd
    return quality(best) - previous.quality <= SWITCH_GAIN + lost


def ranked(forecasts: Sequence[Forecast]) -> tuple[Forecast, ...]:
    """Feasible ones first, then by quality, then by cost."""
    return tuple(sorted(forecasts, key=lambda f: (not f.feasible, -quality(f), cost(f), f.expert)))


def cost(forecast: Forecast) -> float:
    """The forecast's cost in dollars, with an unknown one above every known one."""
    return inf if forecast.cost_usd is None else forecast.cost_usd


def quality(forecast: Forecast) -> float:
    """The forecast's quality, with an unknown one below every known one."""
    return -1.0 if forecast.quality is None else forecast.quality
