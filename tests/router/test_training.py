"""Training: from measured outcomes to a router whose card tells how far to believe it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from collegium.experts.clients.counting import estimated_tokens
from collegium.router.applications.resolver import applications_of
from collegium.router.applications.signals import Signals
from collegium.router.artifact import FittedRouter
from collegium.router.costs import DEFAULT_MS_PER_TOKEN, DEFAULT_TOKENS
from collegium.router.training import PULL, expected_calibration_error, fit_router
from tests.router.synthetic import (
    MS_PER_TOKEN,
    POOL,
    RATES,
    SKILLS,
    TOKENS,
    WordEncoder,
    measured,
)


def embedded(texts: list[str]) -> NDArray[np.float64]:
    """Embeddings in the precision of the fit."""
    return WordEncoder().encode(texts).astype(np.float64)


@pytest.mark.parametrize("skill", SKILLS)
def test_what_was_measured_is_forecast(fitted: FittedRouter, skill: str) -> None:
    """Each expert's rate on each skill, on queries that nobody saw."""
    X = embedded([f"{skill} unseen {i}" for i in range(50)])
    expected = [RATES[e.name][SKILLS.index(skill)] for e in POOL]
    belief = fitted.beliefs.forecast(X)
    np.testing.assert_allclose(belief.quality.mean(axis=0), expected, atol=0.15)
    assert set(fitted.skills.predict(X)) == {skill}
    assert belief.evidence.mean() > 0.9


def test_tokens_and_speeds_are_means_by_expert_and_skill(fitted: FittedRouter) -> None:
    """In the order of the fingerprints and of the skills' names."""
    np.testing.assert_allclose(fitted.tokens, [[TOKENS[skill] for skill in SKILLS]] * len(POOL))
    np.testing.assert_allclose(fitted.milliseconds_per_token, MS_PER_TOKEN)
    assert fitted.skills.classes_.tolist() == list(SKILLS)
    assert fitted.encoder == "words"


def test_the_card_tells_how_far_to_believe_the_router(fitted: FittedRouter) -> None:
    """Calibration on phrasings that were left out, and how much data there was."""
    card = fitted.card
    assert (card["prompts"], card["marks"]) == (180, 540)
    assert 0 <= card["left_out_phrasings"]["ece"] < 0.1
    assert card["left_out_phrasings"]["brier"] < 0.2
    assert card["made"].endswith("+00:00")


def test_the_card_names_the_data() -> None:
    """The same outcomes have the same hash, and one other outcome has another."""
    data = measured(each=20)
    changed = data.scores.copy()
    changed[0, 0] = 1 - changed[0, 0]
    hashes = [
        fit_router(d, WordEncoder()).card["data_sha256"]
        for d in (data, measured(each=20), replace(data, scores=changed))
    ]
    assert hashes[0] == hashes[1] != hashes[2]


def test_unmeasured_cells_get_the_overall_mean() -> None:
    """An expert that was never timed on a skill is as fast as experts are."""
    data = measured(each=20)
    tokens = data.tokens.copy()
    tokens[:20, 0] = np.nan  # the first expert on lists
    fitted = fit_router(replace(data, tokens=tokens), WordEncoder())
    assert fitted.tokens[0, 0] == pytest.approx(np.nanmean(tokens))
    np.testing.assert_allclose(fitted.tokens[0, 1:], [TOKENS["poems"], TOKENS["sql"]])


def test_outcomes_without_tokens_or_times_are_enough() -> None:
    """Routing needs only who was right; the usual numbers stand in for the rest."""
    data = measured(each=20)
    nothing = np.full_like(data.tokens, np.nan)
    fitted = fit_router(replace(data, tokens=nothing, latency_s=nothing), WordEncoder())
    np.testing.assert_array_equal(fitted.tokens, DEFAULT_TOKENS)
    np.testing.assert_array_equal(fitted.milliseconds_per_token, DEFAULT_MS_PER_TOKEN)


def test_what_lies_far_from_all_marks_gets_the_overall_rates(fitted: FittedRouter) -> None:
    """Nothing is claimed of queries that look like none that was marked."""
    belief = fitted.beliefs.forecast(embedded(["weather", "music"]))
    np.testing.assert_array_equal(belief.evidence, 0.0)
    np.testing.assert_allclose(belief.quality, np.tile(fitted.beliefs.rates_, (2, 1)), atol=0.01)


def test_who_asks_is_told_by_the_signals() -> None:
    """Applications get a row of the table, and their own mean lengths of answers."""
    data = measured(each=20)
    signals = [Signals(tag=skill) for skill in data.skills]
    fitted = fit_router(replace(data, signals=signals), WordEncoder())
    assert len(fitted.beliefs.applications_) == len(fitted.applications) == len(SKILLS)
    keys, _ = applications_of(signals)
    usual = np.mean(list(TOKENS.values()))
    for key, skill in set(zip(keys, data.skills, strict=True)):
        expected = (20 * TOKENS[skill] + PULL * usual) / (20 + PULL)
        row = fitted.application_tokens[fitted.beliefs.number(key) or 0]
        np.testing.assert_allclose(row, expected)


def test_the_marked_prompts_and_their_tokens_are_kept_for_promises() -> None:
    """The forecasts' columns are the experts'; what was not counted is estimated."""
    data = measured(each=20)
    counted = np.full_like(data.tokens, np.nan)
    counted[0] = [8.0, 10.0, np.nan]
    fitted = fit_router(replace(data, prompt_tokens=counted), WordEncoder())
    np.testing.assert_allclose(fitted.held_tokens[:, 1:], np.mean(list(TOKENS.values())))
    assert fitted.held_tokens[0, 0] == 9.0
    assert fitted.held_tokens[1, 0] == estimated_tokens(data.prompts[1])
    np.testing.assert_array_equal(fitted.beliefs.held_.scores, data.scores)


def test_held_tokens_are_those_that_are_expected_of_the_application() -> None:
    """A choice is made before an answer's length is known, so promises count what is expected."""
    data = measured(each=20)
    signals = [Signals(tag=skill) for skill in data.skills]
    fitted = fit_router(replace(data, signals=signals), WordEncoder())
    keys, _ = applications_of(signals)
    rows = [fitted.beliefs.number(key) or 0 for key in keys]
    np.testing.assert_allclose(fitted.held_tokens[:, 1:], fitted.application_tokens[rows])


def test_experts_without_a_mark_are_not_known() -> None:
    """No forecast can be made of them; the tables keep the others' columns."""
    data = measured(each=20)
    scores = data.scores.copy()
    scores[:, 1] = np.nan
    fitted = fit_router(replace(data, scores=scores), WordEncoder())
    assert fitted.fingerprints == (data.fingerprints[0], data.fingerprints[2])
    np.testing.assert_array_equal(fitted.beliefs.held_.scores, scores[:, [0, 2]])
    assert fitted.held_tokens.shape == (len(data.prompts), 3)
    assert len(fitted.tokens) == len(fitted.milliseconds_per_token) == 2


def test_a_fit_tells_how_far_it_is() -> None:
    """Rising shares, the last of which is all."""
    told: list[float] = []
    fit_router(measured(each=20), WordEncoder(), progress=told.append)
    assert told == sorted(told)
    assert (told[0] < 0.5, told[-1]) == (True, 1.0)


def test_one_predictor_may_take_the_place_of_the_usual_ones() -> None:
    """By its name."""
    fitted = fit_router(measured(each=60), WordEncoder(), quality="knn")
    assert [type(base).__name__ for base in fitted.beliefs.bases_] == ["Knn"]


@pytest.mark.parametrize("phrasings", [1, 2, 5])
def test_a_router_can_be_fitted_on_few_phrasings(phrasings: int) -> None:
    """Fewer than there are folds is no error."""
    data = measured(each=20)
    groups = [str(i % phrasings) for i in range(len(data.prompts))]
    fitted = fit_router(replace(data, groups=groups), WordEncoder())
    assert np.isfinite(fitted.beliefs.forecast(embedded(["sql new"])).quality).all()


def test_calibration_error_by_hand() -> None:
    """Two bins of two: |0.15 - 0.5| and |0.85 - 1.0|, each of half the weight."""
    forecast, outcome = np.array([0.9, 0.1, 0.8, 0.2]), np.array([1.0, 0.0, 1.0, 1.0])
    error = expected_calibration_error(forecast, outcome, bins=2)
    assert error == pytest.approx((abs(0.15 - 0.5) + abs(0.85 - 1.0)) / 2)


@pytest.mark.parametrize("bins", [1, 3, 10])
def test_forecasts_that_are_right_on_average_have_no_error(bins: int) -> None:
    """Also where there are more bins than queries."""
    forecast = np.array([0.0, 0.0, 1.0, 1.0, 1.0])
    assert expected_calibration_error(forecast, forecast, bins=bins) == 0.0
