"""Panels on recorded answers: real modes replay them, and what pays is judged honestly."""

from __future__ import annotations

import numpy as np
import pytest

from collegium.errors import SetupError
from collegium.evals.core.provenance import provenance
from collegium.evals.routing.recorded import Recorded
from collegium.evals.studies.panels.auto import PRICES, SINGLE, nested_price
from collegium.evals.studies.panels.hull import hull_at
from collegium.evals.studies.panels.replay import Played, Replay, Texts, Way, read_responses
from collegium.evals.studies.panels.study import (
    Study,
    auto_name,
    error_correlations,
    fitted_cascade,
    study,
)
from collegium.evals.studies.panels.study_report import html_page, table, to_dict, verdict
from collegium.router.panels.profiles import Profiles

MODELS = ("cheap", "twin", "other", "dear")
COSTS = np.array([1.0, 1.0, 1.0, 20.0])
RATES = np.array([0.7, 0.7, 0.7, 0.8])


def world(n: int = 600, seed: int = 0) -> tuple[Recorded, Texts]:
    """Three cheap models, two of which err together, and a dear one; four options a question."""
    rng = np.random.default_rng(seed)
    scores = (rng.random((n, 4)) < RATES).astype(np.float64)
    scores[:, 1] = scores[:, 0]
    wrong = rng.integers(1, 4, (n, 4))
    wrong[:, 1] = wrong[:, 0]
    said = np.where(scores == 1, 0, wrong)
    texts = {(i, j): "ABCD"[said[i, j]] for i in range(n) for j in range(4)}
    forecasts = np.tile(RATES, (n, 1))
    costs = np.tile(COSTS, (n, 1))
    rows = np.arange(n)
    data = Recorded("toy", MODELS, ("t",) * n, forecasts, scores, costs, forecasts,
                    rows[: n // 2], rows[n // 2 :])  # fmt: skip
    return data, texts


def test_a_replayed_vote_is_the_vote_of_the_recorded_answers() -> None:
    """Marks and dollars against a plain count, for three members of known weights."""
    data, texts = world(200)
    replay = Replay(data, texts, COSTS, Profiles())
    played = replay.play(Way("vote", 3), np.arange(200))
    assert set(played.costs) == {22.0}
    single = replay.play(SINGLE, np.arange(200))
    assert (single.scores == data.scores[:, 3]).all()
    # Members are dear, cheap and other: the two, where they agree, outvote the dear one.
    agree = np.array([texts[i, 0] == texts[i, 2] for i in range(200)])
    assert (played.scores == np.where(agree, data.scores[:, 0], data.scores[:, 3])).all()


def test_correlated_errors_are_seen_and_avoided() -> None:
    """The twin's errors are the cheap one's; with that known, the panel takes another member."""
    data, texts = world()
    found = error_correlations(data, data.train)
    assert found["cheap"]["twin"] == pytest.approx(1.0)
    assert abs(found["cheap"]["other"]) < 0.2
    rows = np.arange(300, 600)
    blind = Replay(data, texts, COSTS, Profiles()).play(Way("vote", 3, 0.5), rows)
    seeing = Replay(data, texts, COSTS, Profiles(correlations=found)).play(Way("vote", 3), rows)
    assert seeing.scores.mean() > blind.scores.mean()


def test_the_hull_mixes_the_ways_around_the_money() -> None:
    """Between two ways on the straight line, below the cheapest the cheapest, dear ones never."""
    accuracy, cost = np.array([0.5, 0.8, 0.55]), np.array([1.0, 3.0, 2.5])
    at = [0.5, 1.0, 2.0, 3.0, 9.0]
    found = [float(hull_at(accuracy, cost, np.array(money))) for money in at]
    assert found == pytest.approx([0.5, 0.5, 0.65, 0.8, 0.8])


@pytest.fixture(scope="module")
def judged() -> Study:
    """The study of the toy world."""
    data, texts = world(240)
    return study(data, texts, cascade_cost=15.0, progress=lambda _: iter)


def test_auto_lies_on_the_hull_and_pays_for_itself(judged: Study) -> None:
    """What was learnt on the training rows holds on the others."""
    assert all(gap.high >= 0 for gap in judged.auto_over_hull.values())
    frugal = [p for p in judged.points if p.kind == "auto"][-1]
    dear = next(p for p in judged.points if p.name == "dear")
    assert frugal.cost_usd < dear.cost_usd


def test_the_price_is_chosen_on_training_rows(judged: Study) -> None:
    """It is one of those that are tried, and its point and its gap are in the study."""
    assert judged.price in PRICES
    assert auto_name(judged.price) in {p.name for p in judged.points}
    assert auto_name(judged.price) in judged.auto_over_hull


def test_the_nested_price_buys_what_pays_and_saves_what_is_free() -> None:
    """In doubt a vote gains much for twice the cost; where the router is sure, a tenth will do.

    0.05 is the lowest price that saves on the sure half; at 1 nobody would buy the vote.
    """
    rng = np.random.default_rng(1)
    best = np.tile([0.3, 0.97], 200)
    unsure = best < 0.5
    right = (rng.random(400) < np.where(unsure, 0.2, 0.9)).astype(float)
    voted = np.where(unsure, np.maximum(right, rng.random(400) < 0.9), right)
    ways = {
        SINGLE: Played(right, np.ones(400)),
        Way("vote", 3): Played(voted, np.where(unsure, 2.0, 9.0)),
        Way("vote", 3, 0.1): Played(np.where(unsure, 0.0, right), np.full(400, 0.1)),
    }
    assert nested_price(ways, best, seed=0) == 0.05


def test_a_cascade_is_fitted_to_a_cost(judged: Study) -> None:
    """It keeps the target where it was fitted and about keeps it elsewhere; too little is told."""
    assert judged.cascade is not None
    assert judged.cascade.train_cost_usd <= 15.0
    assert judged.cascade.test_cost_usd < 16.5
    way = Way("cascade", 3, None, 0.8)
    played = {way: Played(np.ones(5), np.full(5, 2.0))}
    with pytest.raises(SetupError, match=r"the cheapest \$2\.0"):
        fitted_cascade(played, played, 1.0, seed=0)


def test_the_report_says_what_was_found(judged: Study) -> None:
    """Every way is in the table, the JSON and the sentence count them."""
    made = provenance("command", 0, {})
    assert len(table(judged)) == len(judged.points) + 1
    assert to_dict(judged, made)["test"] == 120
    assert "fixed panels" in verdict(judged)
    page = html_page(judged, made)
    assert "<svg" in page
    assert "mathdefault" not in page  # the axis's numbers are no formulas


def test_sets_without_text_are_refused(tmp_path: object) -> None:
    """The message names the file."""
    with pytest.raises(SetupError, match=r"responses\.jsonl\.gz"):
        read_responses(tmp_path, (), ())  # type: ignore[arg-type]
