"""What recorded answers cost, and who judges."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from collegium.errors import SetupError
from collegium.evals.data import RoutingData
from collegium.evals.spending import held_out, spent


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


def test_recorded_costs_come_first(tmp_path: Path) -> None:
    """What was paid is better than what is Listed."""
    paid = np.arange(8.0).reshape(4, 2)
    assert np.array_equal(spent(data(extras={"cost_usd": paid}), tmp_path, {}), paid)


def test_prices_times_tokens(tmp_path: Path) -> None:
    """Given prices go before Listed ones; without tokens only the ratios count."""
    (tmp_path / "model_prices.json").write_text(
        json.dumps({"x": {"output_price": 1.0}, "y": {"output_price": 5.0}})
    )
    tokens = np.full((4, 2), 10.0)
    assert spent(data(), tmp_path, {})[0].tolist() == [1.0, 5.0]
    priced = spent(data(extras={"out_tokens": tokens}), tmp_path, {"y": 2.0})
    assert priced[0].tolist() == [10.0, 20.0]


def test_a_model_without_a_price_is_named(tmp_path: Path) -> None:
    """With the option that gives it; a garbled list is told, too."""
    with pytest.raises(SetupError, match="price of y: give them with --price"):
        spent(data(), tmp_path, {"x": 1.0})
    (tmp_path / "model_prices.json").write_text("[]")
    with pytest.raises(SetupError, match="output_price"):
        spent(data(), tmp_path, {})


def test_a_test_split_judges_where_there_is_one() -> None:
    """Else about a quarter, the same for the same seed."""
    labelled = data(labels={"split": ("train", "test", None, "test")})
    assert held_out(labelled, seed=0).tolist() == [False, True, False, True]
    many = data(prompts=("P",) * 4000)
    assert held_out(many, seed=1).mean() == pytest.approx(0.25, abs=0.03)
    assert np.array_equal(held_out(many, seed=1), held_out(many, seed=1))
