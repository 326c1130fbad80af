"""What recorded answers cost, and who judges."""

from __future__ import annotations

import numpy as np
import pytest

from collegium.errors import SetupError
from collegium.evals.core.data import RoutingData
from collegium.evals.core.prices import Price
from collegium.evals.training.spending import held_out, spent


def data(**changes: object) -> RoutingData:
    """Four prompts and two models."""
    fields: dict[str, object] = {
        "name": "small",
        "prompt_ids": ("a", "b", "c", "d"),
        "prompts": ("A", "B", "C", "D"),
        "labels": {},
        "models": ("x", "y"),
        "scores": np.ones((4, 2)),
        "extras": {},
    }
    return RoutingData(**{**fields, **changes})  # type: ignore[arg-type]


def test_recorded_costs_come_first() -> None:
    """What was paid is better than what is Listed."""
    paid = np.arange(8.0).reshape(4, 2)
    assert np.array_equal(spent(data(extras={"cost_usd": paid}), {}), paid)


def test_prices_times_tokens() -> None:
    """Given prices go before listed ones, for tokens read (here characters / 4) and written."""
    listed = {"x": Price(1.0, 3.0), "y": Price(0.0, 5.0)}
    tokens = np.full((4, 2), 10.0)
    set_ = data(extras={"out_tokens": tokens}, prices=listed)
    assert spent(set_, {})[0].tolist() == pytest.approx([30.25e-6, 50e-6])
    assert spent(set_, {"y": 2.0})[0].tolist() == pytest.approx([30.25e-6, 20.5e-6])


def test_costs_of_some_models_and_prices_of_others() -> None:
    """Each model has its best evidence; a gap in what was paid stays one."""
    paid = np.full((4, 2), np.nan)
    paid[1:, 0] = 0.5
    found = spent(data(extras={"cost_usd": paid}, prices={"y": Price(0.0, 1.0)}), {})
    assert np.isnan(found[0, 0])
    assert found[1].tolist() == pytest.approx([0.5, 200e-6])


def test_published_prices_are_known() -> None:
    """RouteLLM's two models need no option."""
    models = ("strong_gpt4_1106_preview", "weak_mixtral_8x7b_instruct")
    found = spent(data(models=models), {})
    assert found[0, 0] / found[0, 1] == pytest.approx(24.7 / 0.24)


def test_a_model_without_a_price_is_named() -> None:
    """With what gives it one."""
    with pytest.raises(SetupError, match="price of y: give them with --price"):
        spent(data(), {"x": 1.0})


def test_a_test_split_judges_where_there_is_one() -> None:
    """Else about a quarter, the same for the same seed."""
    labelled = data(labels={"split": ("train", "test", None, "test")})
    assert held_out(labelled, seed=0).tolist() == [False, True, False, True]
    many = data(prompts=("P",) * 4000)
    assert held_out(many, seed=1).mean() == pytest.approx(0.25, abs=0.03)
    assert np.array_equal(held_out(many, seed=1), held_out(many, seed=1))
