"""Live panels are paired with what the same tokens buy without one; a failure is a wrong answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from collegium.cli.eval_pool import PANEL_MODES
from collegium.evals.core.arrays import Floats
from collegium.evals.studies.panels.asking import ROUTED, WayAsker, samples_of
from collegium.evals.studies.panels.live import (
    LiveStudy,
    best_expert,
    judge,
    panel_ways,
    single_ways,
)
from collegium.evals.studies.panels.live_profile import correlations, live_profiles
from collegium.evals.studies.panels.live_report import panel_card, panel_table, panel_verdict
from collegium.evals.studies.panels.sampled import sampled
from collegium.evals.tasks.base import Example
from collegium.evals.tasks.outcomes import Outcomes
from collegium.experts.aggregation.catalogue import mode_names
from collegium.experts.questions.endpoint import ROUTER, Answer, Endpoint
from collegium.router.panels.profiles import Profiles, range_of
from tests.experts.questions.test_endpoint import completion, serve


def outcomes(experts: tuple[str, ...], scores: Any, tokens: float = 10.0) -> Outcomes:
    """Prompts of two tasks in turn; every answer took a second and these tokens."""
    table = np.array(scores, dtype=np.float64)
    ones = np.where(np.isfinite(table), 1.0, np.nan)
    prompts = tuple(Example(f"p{i}", "ab"[i % 2], "t", f"q{i}", "r") for i in range(len(table)))
    half = tokens / 2 * ones
    return Outcomes.of(prompts, experts, np.stack([table, ones, half, half]))


def test_samples_vote_and_the_surest_speaks() -> None:
    """Three samples: two say 7, in different words, the surest says 8."""
    told = [[Answer("8", 1, 1, 0.1, -0.1), Answer("7", 1, 1, 0.1, -0.5), Answer("7.0", 1, 1, 0.1)]]
    scores, tokens = np.array([[0.0, 1.0, 1.0]]), np.array([[2.0, 3.0, 4.0]])
    found = {way.name: way for way in sampled("x", "best", scores, tokens, told)}
    assert found["x, vote of 3 samples"].scores.tolist() == [1.0]
    assert found["x, surest of 3 samples"].scores.tolist() == [0.0]
    assert found["x, vote of 2 samples"].scores.tolist() == [0.0]  # a tie is the first one's
    assert found["x, vote of 2 samples"].tokens.tolist() == [5.0]
    assert found["x, surest of 3 samples"].tokens.tolist() == [9.0]


@pytest.fixture(scope="module")
def judged() -> LiveStudy:
    """Expert x is right half the time, y less; x's samples do as well as the vote and cost less."""
    experts = outcomes(("x", "y"), [[1, 0], [0, 1], [0, 0], [1, 0]] * 10)
    chosen = np.zeros(40, dtype=np.int64)
    modes = outcomes(("collegium/vote", ROUTER), [[1, 1], [1, 0], [np.nan, 0], [1, 1]] * 10, 30.0)
    right: Floats = np.tile([1.0, 1.0, 0.0, 1.0], 10)
    said = [[Answer("a" if r else "b", 5, 5, 1.0)] * 2 for r in right]
    columns = np.column_stack([right, right])
    samples = sampled("routed", "routed", columns, np.full((40, 2), 10.0), said)
    ways = [*single_ways(experts, chosen), *panel_ways(modes), *samples]
    return judge(ways, best_expert(experts), ["a", "b"] * 20, modes=modes)


def test_a_mode_is_compared_for_the_same_tokens(judged: LiveStudy) -> None:
    """25 points over single routing and the best expert, none over two samples of its choice."""
    vote = next(row for row in judged.rows if row.name == "vote")
    assert (vote.accuracy.estimate, vote.tokens, vote.failures) == (0.75, 30.0, 10)
    assert vote.over_single.estimate == pytest.approx(0.25)
    assert vote.over_best.estimate == pytest.approx(0.25)
    assert vote.over_single.low > 0
    assert (vote.over_routed.estimate, vote.over_routed.excludes(0.0)) == (0.0, False)
    assert judged.best_expert == "x"


def test_auto_is_compared_with_the_hull_of_the_fixed_ways(judged: LiveStudy) -> None:
    """It costs what the vote costs and answers as single routing does: below the hull."""
    assert judged.auto_over_hull is not None
    assert judged.auto_over_hull.estimate == pytest.approx(-0.25)
    assert judged.auto_over_hull.high < 0
    assert "lies below the hull" in panel_verdict(judged)


def test_the_report_names_every_way(judged: LiveStudy) -> None:
    """Table, sentence and a section with a drawing."""
    names = [row[0] for row in panel_table(judged)[1:]]
    assert names == [row.name for row in judged.rows]
    assert "none are better" in panel_verdict(judged)
    card = panel_card(judged)
    assert "surest of 2 samples" in str(card.tables)
    assert "<svg" in card.figures[0]
    assert "mathdefault" not in card.figures[0]  # the axis's numbers are no formulas


def test_profiles_tell_gain_and_multiple_by_range() -> None:
    """Where the forecast is low the vote gains, where it is high it doesn't; few rows: nothing."""
    low, high = [[0.0], [0.0]] * 20, [[1.0], [1.0]] * 20
    experts = outcomes(("x",), low + high)
    modes = outcomes(("collegium/vote", ROUTER), [[1.0, 0.0]] * 80, 30.0)
    forecasts = np.array([[0.3]] * 40 + [[0.97]] * 40)
    chosen = np.zeros(80, dtype=np.int64)
    found = live_profiles(experts, chosen, forecasts, modes, made_by="test")
    (gained,), (idle,) = found.ranges[range_of(0.3)], found.ranges[range_of(0.97)]
    assert (gained.mode, gained.k, gained.gain, gained.cost) == ("vote", 3, 1.0, 3.0)
    assert gained.gain_low > 0.8
    assert (idle.gain, idle.queries) == (0.0, 40)
    assert idle.gain_low < 0
    few = live_profiles(
        outcomes(("x",), low[:8]), chosen[:8], forecasts[:8], outcomes(("collegium/vote",), low[:8])
    )
    assert few.ranges == Profiles().ranges


def test_correlations_are_of_what_the_forecasts_leave() -> None:
    """Two experts that err together, one by chance now and then, one without a forecast."""
    rng = np.random.default_rng(0)
    right, other = (rng.random((2, 60)) < 0.6).astype(float)
    table = np.column_stack([right, right, other, 1 - right])
    assert 0 < abs(np.corrcoef(right, other)[0, 1]) < 0.25
    forecasts = np.tile([0.6, 0.6, 0.6, np.nan], (60, 1))
    found = correlations(outcomes(("x", "y", "chance", "z"), table), forecasts)
    assert found["x"] == {"y": 0.999}
    assert found["chance"] == found["z"] == {}


async def test_ways_are_asked_as_their_names_say() -> None:
    """A panel as a model, `auto` by routing, samples by temperature and seed of whom was chosen."""
    seen: list[dict[str, Any]] = []

    def reply(_: str, body: dict[str, Any], __: object) -> tuple[int, Any]:
        seen.append(body)
        told = completion("hi", collegium={"decision": {"expert": "sql"}})
        told["choices"][0]["logprobs"] = {"content": [{"logprob": -1.0}, {"logprob": -3.0}]}
        return 200, told

    with serve(reply) as url:
        async with Endpoint(url) as endpoint:
            ask = WayAsker(endpoint, {"Count cats": "sql"})
            await ask(ROUTER, "Count cats")
            answer = await ask(samples_of(ROUTED)[1], "Count cats")
    assert (seen[0]["model"], seen[0]["routing"]) == ("auto", {"aggregate": "auto"})
    assert (seen[1]["model"], seen[1]["seed"], seen[1]["temperature"]) == ("sql", 2, 0.7)
    assert answer.logprob == -2.0


def test_every_mode_can_be_asked() -> None:
    """The command's list is that of the modes, and the one that chooses among them."""
    assert {*PANEL_MODES, "single"} == {*mode_names(), "auto"}
