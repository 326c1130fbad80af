"""The cost of an answer, from the best evidence in a set.

In this order: recorded dollars; list prices; RouteLLM's two published prices; prices by the size
that a model's name tells. Prices are dollars per million tokens. Tokens are recorded ones, else
characters / 4; where not even the answer's length is known, every answer has `NOMINAL_TOKENS`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from collegium.evals.core.arrays import Floats
from collegium.evals.core.data import RoutingData
from collegium.evals.core.prices import Price

CHARACTERS_A_TOKEN = 4
NOMINAL_TOKENS = 200
MILLION = 1e6

PUBLISHED = {
    "strong_gpt4_1106_preview": Price(24.7, 24.7),
    "weak_mixtral_8x7b_instruct": Price(0.24, 0.24),
}
"""RouteLLM (arXiv 2406.18665): one price for tokens read and written."""

BASE_PRICE, PRICE_A_BILLION = 0.05, 0.01
"""Dollars per million tokens, about what hosts asked for open models in 2024: 7B 0.12, 70B 0.75."""

SIZE = re.compile(r"(?<![a-z0-9.])(?:(\d+)x)?(\d+(?:\.\d+)?)b(?![a-z0-9])", re.IGNORECASE)


@dataclass(frozen=True)
class CostModel:
    """Dollars an answer, shape (prompts, models), and in words where they come from."""

    usd: Floats
    source: str


def cost_model(data: RoutingData) -> CostModel:
    """Return the cost of every answer; nothing is NaN."""
    recorded = data.extras.get("cost_usd")
    if recorded is not None and np.isfinite(recorded).any(axis=0).all():
        gaps = "" if np.isfinite(recorded).all() else "; gaps filled with the model's mean"
        return CostModel(filled(recorded), f"recorded dollars a query{gaps}")
    prices, source = _prices(data)
    read, written, tokens = tokens_of(data)
    into = np.array([price.input for price in prices])
    out = np.array([price.output for price in prices])
    return CostModel((read * into + written * out) / MILLION, f"{source}; {tokens}")


def filled(table: Floats) -> Floats:
    """Fill gaps with the column's mean, or the table's where a column is empty."""
    known = np.isfinite(table)
    sums, counts = np.where(known, table, 0).sum(axis=0), known.sum(axis=0)
    overall = sums.sum() / max(1, counts.sum())
    means = np.where(counts > 0, sums / np.maximum(1, counts), overall)
    return np.where(known, table, means)


def billions(name: str) -> float | None:
    """Read a model's size from its name, such as 56 from `Mixtral-8x7B`."""
    found = SIZE.search(name.replace("_", "-"))
    return None if found is None else float(found[2]) * int(found[1] or 1)


def _prices(data: RoutingData) -> tuple[list[Price], str]:
    if set(data.models) <= set(data.prices):
        return [data.prices[name] for name in data.models], "list prices of model_prices.json"
    if set(data.models) <= set(PUBLISHED):
        return [PUBLISHED[name] for name in data.models], "RouteLLM's $24.7 and $0.24 per million"
    rates, source = _prices_by_size(data.models)
    if not data.prices.keys() & set(data.models):
        return rates, source
    named = [model for model in data.models if model not in data.prices]
    found = [data.prices.get(name, rate) for name, rate in zip(data.models, rates, strict=True)]
    return found, f"list prices of model_prices.json; of {', '.join(named)} {source}"


def _prices_by_size(models: Sequence[str]) -> tuple[list[Price], str]:
    sizes = [billions(name) for name in models]
    known = [size for size in sizes if size is not None]
    if not known:
        return [Price(1.0, 1.0)] * len(models), "no prices known: $1 per million for every model"
    rates = [BASE_PRICE + PRICE_A_BILLION * (size or max(known)) for size in sizes]
    source = f"no prices known: ${BASE_PRICE} + ${PRICE_A_BILLION} a billion parameters per million"
    if unknown := sum(size is None for size in sizes):
        source += f"; {unknown} models without a size in their name priced as the largest"
    return [Price(rate, rate) for rate in rates], source


def tokens_of(data: RoutingData) -> tuple[Floats, Floats, str]:
    """Return tokens read and written, and how they are known."""
    shape = data.scores.shape
    characters = np.array([len(prompt) for prompt in data.prompts], dtype=np.float64)
    estimate = np.broadcast_to(characters[:, None] / CHARACTERS_A_TOKEN, shape)
    read = _read_tokens(data.extras.get("in_tokens"), estimate)
    for name, unit in (("out_tokens", 1), ("response_chars", CHARACTERS_A_TOKEN)):
        table = data.extras.get(name)
        if table is not None and np.isfinite(table).any():
            said = "recorded tokens" if unit == 1 else "answers' characters / 4"
            return read, filled(table) / unit, said
    return read, np.full(shape, float(NOMINAL_TOKENS)), f"{NOMINAL_TOKENS} tokens an answer assumed"


def _read_tokens(recorded: Floats | None, estimate: Floats) -> Floats:
    """Fill gaps with what other models read of the same prompt, else with the estimate."""
    if recorded is None:
        return estimate
    known = np.isfinite(recorded)
    counts = known.sum(axis=1, keepdims=True)
    means = np.where(known, recorded, 0).sum(axis=1, keepdims=True) / np.maximum(1, counts)
    return np.where(known, recorded, np.where(counts > 0, means, estimate))
