"""Training: from measured outcomes to a router whose card tells how far to believe it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from collegium.router.artifact import FittedRouter
from collegium.router.costs import DEFAULT_MS_PER_TOKEN, DEFAULT_TOKENS
from collegium.router.training import expected_calibration_error, fit_router, out_of_fold
from tests.router.synthetic import (
    MS_PER_TOKEN,
    POOL,
    RATES,
    SKILLS,
    TOKENS,
    WordEncoder,
    background,
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
    np.testing.assert_allclose(fitted.quality.predict(X).mean(axis=0), expected, atol=0.15)
    assert set(fitted.skills.predict(X)) == {skill}
    assert (fitted.familiarity.predict(X) == 1).mean() > 0.9


def test_tokens_and_speeds_are_means_by_expert_and_skill(fitted: FittedRouter) -> None:
    """In the order of the fingerprints and of the skills' names."""
    np.testing.assert_allclose(fitted.tokens, [[TOKENS[skill] for skill in SKILLS]] * len(POOL))
    np.testing.assert_allclose(fitted.milliseconds_per_token, MS_PER_TOKEN)
    assert fitted.skills.classes_.tolist() == list(SKILLS)
    assert fitted.encoder == "words"


def test_the_card_tells_how_far_to_believe_the_router(fitted: FittedRouter) -> None:
    """Calibration on phrasings that were left out, and how much data there was."""
    card = fitted.card
    assert (card["prompts"], card["background_prompts"]) == (180, 100)
    assert 0 <= card["left_out_phrasings"]["ece"] < 0.1
    assert card["left_out_phrasings"]["brier"] < 0.2
    assert card["made"].endswith("+00:00")


def test_the_card_names_the_data() -> None:
    """The same outcomes have the same hash, and one other outcome has another."""
    data = measured(each=20)
    changed = data.scores.copy()
    changed[0, 0] = 1 - changed[0, 0]
    hashes = [
        fit_router(d, background(20), WordEncoder()).card["data_sha256"]
        for d in (data, measured(each=20), replace(data, scores=changed))
    ]
    assert hashes[0] == hashes[1] != hashes[2]


def test_unmeasured_cells_get_the_overall_mean() -> None:
    """An expert that was never timed on a skill is as fast as experts are."""
    data = measured(each=20)
    tokens = data.tokens.copy()
    tokens[:20, 0] = np.nan  # the first expert on lists
    fitted = fit_router(replace(data, tokens=tokens), background(20), WordEncoder())
    assert fitted.tokens[0, 0] == pytest.approx(np.nanmean(tokens))
    np.testing.assert_allclose(fitted.tokens[0, 1:], [TOKENS["poems"], TOKENS["sql"]])


def test_outcomes_without_tokens_or_times_are_enough() -> None:
    """Routing needs only who was right; the usual numbers stand in for the rest."""
    data = measured(each=20)
    nothing = np.full_like(data.tokens, np.nan)
    fitted = fit_router(
        replace(data, tokens=nothing, latency_s=nothing), background(20), WordEncoder()
    )
    np.testing.assert_array_equal(fitted.tokens, DEFAULT_TOKENS)
    np.testing.assert_array_equal(fitted.milliseconds_per_token, DEFAULT_MS_PER_TOKEN)


def test_a_router_can_be_fitted_without_a_background() -> None:
    """What is strange is then judged by the measured queries alone."""
    fitted = fit_router(measured(each=20), [], WordEncoder())
    far = embedded(["weather", "music"])
    assert (fitted.familiarity.predict(far) == -1).all()


@pytest.mark.parametrize("phrasings", [1, 2, 5])
def test_a_router_can_be_fitted_on_few_phrasings(phrasings: int) -> None:
    """Fewer than there are folds is no error."""
    data = measured(each=20)
    groups = [str(i % phrasings) for i in range(len(data.prompts))]
    fitted = fit_router(replace(data, groups=groups), background(20), WordEncoder())
    assert np.isfinite(fitted.quality.predict(WordEncoder().encode(["sql new"]))).all()


def test_forecasts_for_the_card_are_of_unseen_phrasings() -> None:
    """An outcome that only a phrasing explains can't be foretold without that phrasing."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(10), 20)
    X = np.eye(10)[groups] + 0.01 * rng.normal(size=(200, 10))
    scores = rng.permutation(np.repeat([0.0, 1.0], 5))[groups][:, None]

    forecasts = out_of_fold(X, scores, groups.astype(str), groups)
    assert np.mean((forecasts - scores) ** 2) > 0.2


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
