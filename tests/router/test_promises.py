"""What is promised for the experts and prices that there are now."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from collegium.router.artifact import FittedRouter
from collegium.router.beliefs.promise import costs, promise
from collegium.router.promises import REMEMBERED, Promises
from tests.router.synthetic import POOL

DEAR = (10.0, 1.0, 3.0)
EXPERTS = [replace(e, input_price=p, output_price=p) for e, p in zip(POOL, DEAR, strict=True)]
COLUMNS = [0, 1, 2]


@pytest.mark.parametrize("columns", [COLUMNS, [2, 0, 1], [0, 2, None]])
def test_it_is_that_of_the_held_forecasts(fitted: FittedRouter, columns: list[int | None]) -> None:
    """In the pool's order, with its prices; who is not known does not count."""
    found = Promises(fitted).of(EXPERTS, columns, 0.05)
    known = [c for c in columns if c is not None]
    prices = [(DEAR[i],) * 2 for i, c in enumerate(columns) if c is not None]
    held = fitted.beliefs.held_
    expected = promise(
        held.quality[:, known],
        held.scores[:, known],
        costs(fitted.held_tokens[:, [0, *(1 + c for c in known)]], prices),
        most_loss=0.05,
    )
    assert found is not None
    told, best = found
    assert told == expected
    assert (
        best == [e.name for e, c in zip(EXPERTS, columns, strict=True) if c is not None][told.best]
    )


def test_other_prices_are_another_promise(fitted: FittedRouter) -> None:
    """Nothing needs to be trained again."""
    promises = Promises(fitted)
    before = promises.of(EXPERTS, COLUMNS, 0.05)
    same = [replace(e, input_price=1.0, output_price=1.0) for e in EXPERTS]
    after = promises.of(same, COLUMNS, 0.05)
    assert before is not None
    assert after is not None
    assert before[0].saving != after[0].saving
    again = promises.of(EXPERTS, COLUMNS, 0.05)
    assert again is not None
    assert again[0] is before[0]


@pytest.mark.parametrize("columns", [[None] * 3, [0, None, None]])
def test_of_fewer_than_two_known_experts_nothing_is_promised(
    fitted: FittedRouter, columns: list[int | None]
) -> None:
    """There is nothing to give up for anything."""
    assert Promises(fitted).of(EXPERTS, columns, 0.05) is None


def test_without_a_score_nothing_is_promised(fitted: FittedRouter) -> None:
    """The forecasts alone are no measurement."""
    held = fitted.beliefs.held_
    nothing = replace(held, scores=np.full_like(held.scores, np.nan))
    blind = Promises(fitted)
    blind._held = nothing
    assert blind.of(EXPERTS, COLUMNS, 0.05) is None


def test_only_so_many_are_remembered(fitted: FittedRouter, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that was asked for the longest ago is measured again."""
    promises = Promises(fitted)
    first = promises.of(EXPERTS, COLUMNS, 0.05)
    assert first is not None
    monkeypatch.setattr(promises, "_measured", lambda *_: None)
    for i in range(REMEMBERED - 1):
        promises.of(EXPERTS, COLUMNS, 0.06 + i / 1000)
    assert promises.of(EXPERTS, COLUMNS, 0.05) == first
    promises.of(EXPERTS, COLUMNS, 0.01)
    promises.of(EXPERTS, COLUMNS, 0.02)
    assert promises.of(EXPERTS, COLUMNS, 0.05) == first
    for i in range(REMEMBERED):
        promises.of(EXPERTS, COLUMNS, 0.2 + i / 1000)
    assert promises.of(EXPERTS, COLUMNS, 0.05) is None
