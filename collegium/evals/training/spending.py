"""The known costs of recorded answers, and the queries for evaluation."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from collegium.errors import SetupError
from collegium.evals.core.arrays import Floats
from collegium.evals.core.data import RoutingData
from collegium.evals.core.prices import Price
from collegium.evals.routing.costs import MILLION, PUBLISHED, tokens_of

TEST_SHARE = 0.25


def spent(data: RoutingData, prices: Mapping[str, float]) -> Floats:
    """Return dollars by prompt and model, NaN if unmeasured.

    Of each model, in this order: `prices` a million tokens that somebody gave; the set's
    `cost_usd`; the set's list prices; RouteLLM's two published ones.
    """
    recorded = data.extras.get("cost_usd", np.full(data.scores.shape, np.nan))
    listed = {**PUBLISHED, **data.prices}
    read, written, _ = tokens_of(data)
    dollars, missing = np.array(recorded, dtype=np.float64), []
    for column, model in enumerate(data.models):
        price = listed.get(model)
        if model in prices:
            price = Price(prices[model], prices[model])
        elif np.isfinite(recorded[:, column]).any():
            continue
        if price is None:
            missing.append(model)
        else:
            cost = read[:, column] * price.input + written[:, column] * price.output
            dollars[:, column] = cost / MILLION
    if missing:
        raise SetupError(
            f"{data.name} has neither costs nor a price of {', '.join(missing)}: "
            "give them with --price MODEL=DOLLARS, or in model_prices.json"
        )
    return dollars


def held_out(data: RoutingData, seed: int) -> NDArray[np.bool_]:
    """The prompts whose `split` label is test, where there are any; else a quarter by chance."""
    labels = data.labels.get("split", ())
    test = np.array([label == "test" for label in labels], dtype=bool)
    if test.any() and not test.all():
        return test
    return by_chance(len(data.prompts), seed)


def by_chance(count: int, seed: int) -> NDArray[np.bool_]:
    """A quarter of so many prompts, shape (count,)."""
    return np.asarray(np.random.default_rng(seed).random(count) < TEST_SHARE)
