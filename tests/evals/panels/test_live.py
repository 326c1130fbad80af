"""Live panels are paired with the router's single answers; a failure is a wrong answer."""

from __future__ import annotations

import numpy as np
import pytest

from collegium.cli.eval_command import PANEL_MODES
from collegium.evals.outcomes import Outcomes
from collegium.evals.panels.live import compare, panel_table
from collegium.experts.aggregation.catalogue import MODES
from collegium.experts.specialists.tasks.base import Example


def outcomes(experts: tuple[str, ...], scores: list[list[float]]) -> Outcomes:
    """Four prompts of two tasks; every answer took ten tokens and a second."""
    table = np.array(scores)
    ones = np.where(np.isfinite(table), 1.0, np.nan)
    prompts = tuple(Example(f"p{i}", "ab"[i % 2], "t", f"q{i}", "r") for i in range(len(table)))
    return Outcomes(prompts, experts, table, ones, 5 * ones, 5 * ones, ("test",) * len(table))


def test_a_mode_is_compared_prompt_by_prompt() -> None:
    """Means, the paired difference, tokens and failures."""
    experts = outcomes(("x", "y"), [[1, 0], [0, 1], [0, 0], [1, 1]])
    modes = outcomes(("collegium/vote",), [[1], [1], [np.nan], [0]])
    single, vote = compare(experts, np.array([0, 0, 0, 0]), modes)
    assert single.accuracy.estimate == pytest.approx(0.5)
    assert vote.accuracy.estimate == pytest.approx(0.5)
    assert vote.minus_single.estimate == 0.0
    assert (vote.tokens, vote.failures) == (10.0, 1)
    assert panel_table([single, vote])[2][0] == "vote"


def test_other_prompts_are_refused() -> None:
    """A pair needs the same question."""
    experts = outcomes(("x",), [[1], [0]])
    with pytest.raises(ValueError, match="different prompts"):
        compare(experts, np.array([0, 0]), outcomes(("m",), [[1], [0], [1]]))


def test_every_mode_can_be_asked() -> None:
    """The command's list is that of the modes."""
    assert {*PANEL_MODES, "single"} == set(MODES)
