"""Beliefs as arrays and JSON: what is written is read back, and what does not fit is refused."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from collegium.router.beliefs.beliefs import Beliefs
from collegium.router.beliefs.saving import pack_beliefs, unpack_beliefs
from collegium.router.predictors.linear import Linear
from tests.router.beliefs.worlds import by_application

WORLD = by_application(count=6, each=15)


@pytest.fixture(scope="module")
def beliefs() -> Beliefs:
    """Beliefs with a predictor of the query and with contexts."""
    contexts = {name: WORLD.X[i] for i, name in enumerate(WORLD.applications)}
    return Beliefs([Linear()]).fit(WORLD.X, WORLD.scores, WORLD.applications, context=contexts)


@pytest.fixture
def packed(beliefs: Beliefs) -> tuple[Any, dict[str, Any]]:
    """The tree and its arrays."""
    arrays: dict[str, Any] = {}
    tree = pack_beliefs(beliefs, arrays)
    return copy.deepcopy(tree), arrays


def test_they_forecast_as_they_did(beliefs: Beliefs, packed: tuple[Any, dict[str, Any]]) -> None:
    """In every setting, with the same deviations and evidence."""
    read = unpack_beliefs(*packed)
    X, context = WORLD.X[:3], [None, None, WORLD.X[7]]
    asked = ["application 2", None, "new"]
    ours, theirs = read.forecast(X, asked, context), beliefs.forecast(X, asked, context)
    np.testing.assert_allclose(ours.quality, theirs.quality)
    np.testing.assert_allclose(ours.deviation, theirs.deviation)
    np.testing.assert_allclose(ours.evidence, theirs.evidence)
    np.testing.assert_array_equal(read.held_.quality, beliefs.held_.quality)
    assert read.applications_ == beliefs.applications_


def test_a_missing_array_is_refused(packed: tuple[Any, dict[str, Any]]) -> None:
    """Whichever it is, but for what only a fit reads."""
    tree, arrays = packed
    for name in arrays:
        less = {k: a for k, a in arrays.items() if k != name}
        with pytest.raises((LookupError, TypeError, ValueError)):
            unpack_beliefs(tree, less)


@pytest.mark.parametrize("names", [None, "abc", [1, 2], [None]])
def test_applications_have_names(packed: tuple[Any, dict[str, Any]], names: Any) -> None:
    """Anything else is refused."""
    tree, arrays = packed
    with pytest.raises((TypeError, ValueError)):
        unpack_beliefs(tree | {"applications": names}, arrays)


def test_held_forecasts_are_those_of_the_experts(packed: tuple[Any, dict[str, Any]]) -> None:
    """Else a promise would be measured on somebody else's."""
    tree, arrays = packed
    name = "beliefs.held.quality"
    with pytest.raises(ValueError, match="marked queries"):
        unpack_beliefs(tree, arrays | {name: arrays[name][:, :2]})


@pytest.mark.parametrize("part", ["beliefs.rates", "beliefs.table.table", "beliefs.weights.known"])
def test_what_is_no_number_is_refused(packed: tuple[Any, dict[str, Any]], part: str) -> None:
    """It would spoil every forecast."""
    tree, arrays = packed
    with pytest.raises(ValueError, match="fit together"):
        unpack_beliefs(tree, arrays | {part: np.full_like(arrays[part], np.nan)})
