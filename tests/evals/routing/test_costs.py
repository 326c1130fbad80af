"""What answers cost: the best evidence first, and in words which it was."""

from dataclasses import replace

import numpy as np
import pytest

from collegium.evals.core.data import RoutingData
from collegium.evals.core.prices import Price
from collegium.evals.routing.costs import billions, cost_model

DATA = RoutingData(
    "costs", ("a", "b"), ("x" * 40, "x" * 400), {}, ("small-7b", "big-8x22B"), np.ones((2, 2))
)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("mistralai/Mistral-7B-v0.1", 7),
        ("Mixtral-8x7B-Instruct-v0.1", 56),
        ("open-mixtral-8x22b", 176),
        ("qwen2.5-7b-instruct", 7),
        ("Meta-Llama-3_1-70B-Instruct", 70),
        ("smollm-0.5b", 0.5),
        ("gpt-4-1106-preview", None),
        ("claude-2.1", None),
        ("phi-2", None),
    ],
)
def test_a_size_is_read_from_a_name(name: str, size: float | None) -> None:
    """Billions of parameters, all experts of a mixture together; versions are no sizes."""
    assert billions(name) == size


def test_recorded_dollars_come_first() -> None:
    """A gap takes its model's mean."""
    paid = np.array([[0.1, 0.4], [np.nan, 0.6]])
    found = cost_model(replace(DATA, extras={"cost_usd": paid}))
    np.testing.assert_allclose(found.usd, [[0.1, 0.4], [0.1, 0.6]])
    assert "recorded dollars" in found.source


def test_list_prices_pay_for_tokens_read_and_written() -> None:
    """10 or 100 tokens read by their characters, 50 written by the answer's."""
    prices = {"small-7b": Price(1.0, 2.0), "big-8x22B": Price(10.0, 20.0)}
    chars = np.full((2, 2), 200.0)
    found = cost_model(replace(DATA, prices=prices, extras={"response_chars": chars}))
    np.testing.assert_allclose(1e6 * found.usd, [[110, 1100], [200, 2000]])
    assert "list prices" in found.source
    assert "characters / 4" in found.source


def test_recorded_tokens_are_better_than_characters() -> None:
    """Where a model's are missing, those of other models on the prompt tell what was read."""
    read = np.array([[30.0, np.nan], [np.nan, np.nan]])
    written = np.array([[5.0, 7.0], [15.0, np.nan]])
    prices = dict.fromkeys(DATA.models, Price(1.0, 1.0))
    extras = {"in_tokens": read, "out_tokens": written}
    found = cost_model(replace(DATA, prices=prices, extras=extras))
    np.testing.assert_allclose(1e6 * found.usd, [[35, 37], [115, 107]])


def test_routellms_pair_has_its_published_price() -> None:
    """24.7 and 0.24 dollars per million tokens, whatever the order."""
    models = ("weak_mixtral_8x7b_instruct", "strong_gpt4_1106_preview")
    found = cost_model(replace(DATA, models=models))
    np.testing.assert_allclose(found.usd[:, 1] / found.usd[:, 0], 24.7 / 0.24)


def test_a_list_price_counts_where_others_have_none() -> None:
    """Which models are priced by their size is said."""
    found = cost_model(replace(DATA, prices={"small-7b": Price(3.0, 3.0)}))
    sized = cost_model(DATA)
    np.testing.assert_allclose(found.usd[:, 1], sized.usd[:, 1])
    np.testing.assert_allclose(1e6 * found.usd[:, 0], [3 * 210, 3 * 300])
    assert "of big-8x22B no prices known: $0.05" in found.source


def test_without_prices_size_decides() -> None:
    """0.05 dollars and 0.01 a billion; who hides the size costs as much as the largest."""
    sized = cost_model(DATA).usd
    np.testing.assert_allclose(sized[:, 1] / sized[:, 0], (0.05 + 1.76) / (0.05 + 0.07))
    hidden = cost_model(replace(DATA, models=("secret", "big-8x22B")))
    np.testing.assert_allclose(hidden.usd[:, 0], sized[:, 1])
    assert "1 models without a size" in hidden.source


def test_without_any_evidence_all_cost_the_same() -> None:
    """And the report says so."""
    found = cost_model(replace(DATA, models=("secret", "hidden")))
    np.testing.assert_allclose(found.usd[:, 0], found.usd[:, 1])
    assert "$1 per million for every model" in found.source
