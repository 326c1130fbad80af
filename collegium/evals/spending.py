"""What recorded answers cost, from a set's own numbers or from prices, and which queries judge."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from collegium.errors import SetupError
from collegium.evals.data import RoutingData

PRICES = "model_prices.json"
TEST_SHARE = 0.25


def spent(data: RoutingData, folder: Path, prices: Mapping[str, float]) -> NDArray[np.float64]:
    """Dollars by prompt and model, NaN where nobody measured.

    From the set's `cost_usd`; else prices a million tokens (given, or the set's own) times its
    output tokens, or times one where it has none: then only the ratios mean something.
    """
    if "cost_usd" in data.extras and not prices:
        return np.asarray(data.extras["cost_usd"], dtype=np.float64)
    known = {**_listed(folder / PRICES), **prices}
    if missing := [model for model in data.models if model not in known]:
        raise SetupError(
            f"{data.name} has neither costs nor a price of {', '.join(missing)}: "
            "give them with --price MODEL=DOLLARS"
        )
    tokens = data.extras.get("out_tokens", np.ones_like(data.scores))
    return np.asarray(tokens, dtype=np.float64) * [known[model] for model in data.models]


def _listed(path: Path) -> dict[str, float]:
    """Output prices by model, from LLMRouter's format; none where there is no such file."""
    if not path.is_file():
        return {}
    try:
        Listed = json.loads(path.read_text(encoding="utf-8"))
        return {model: float(entry["output_price"]) for model, entry in Listed.items()}
    except (AttributeError, LookupError, TypeError, ValueError) as exc:
        raise SetupError(f"{path}: expected models with their 'output_price': {exc}") from exc


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
