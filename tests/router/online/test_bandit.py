"""The bandit: decides with known odds, learns what changed, keeps what it promised."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from collegium.errors import ArtifactRejected
from collegium.router.online.bandit import Bandit, BanditSettings, Choice
from collegium.router.online.features import fit_projection
from collegium.router.online.store import decoded, encoded

Array = NDArray[np.float64]
X = np.random.default_rng(0).normal(size=(200, 16))
PROJECTION = fit_projection(X, dimensions=4)
QUALITY = np.array([0.7, 0.6, 0.5])
FREE = np.zeros(3)
QUICK = BanditSettings(discount=0.99)


def bandit(settings: BanditSettings = QUICK) -> Bandit:
    return Bandit(PROJECTION, 3, settings)


def lived(
    made: Bandit, rates: Array, steps: int, *, seed: int = 0, sources: int = 10**6
) -> list[Choice]:
    """Let it decide and learn where expert i is right with probability rates[i]."""
    rng = np.random.default_rng(seed)
    choices = []
    for _ in range(steps):
        choice = made.decide(X[rng.integers(len(X))], QUALITY, FREE, rng)
        right = float(rng.random() < rates[choice.expert])
        made.learn(choice, rating=right, burden=0.0, source=f"s{rng.integers(sources)}")
        choices.append(choice)
    return choices


def test_propensities_are_the_frequencies() -> None:
    """What is logged is how often it would choose so."""
    made, rng = bandit(), np.random.default_rng(1)
    choices = [made.decide(X[0], QUALITY, FREE, rng) for _ in range(4000)]
    drawn = np.bincount([c.expert for c in choices], minlength=3) / len(choices)
    np.testing.assert_allclose(choices[0].probabilities, drawn, atol=0.025)
    assert all(c.propensity == c.probabilities[c.expert] for c in choices)
    assert min(c.probabilities.min() for c in choices) >= QUICK.floor / 3 - 1e-12


def test_who_is_not_feasible_is_never_chosen() -> None:
    """Not even by the uniform part, and the baseline is the best of the others."""
    made, rng = bandit(), np.random.default_rng(2)
    feasible = np.array([False, True, True])
    choices = [made.decide(X[0], QUALITY, FREE, rng, feasible=feasible) for _ in range(200)]
    assert {c.baseline for c in choices} == {1}
    assert all(c.probabilities[0] == 0 for c in choices)


def test_an_expert_that_degrades_is_left() -> None:
    """The best by forecast is now right 10 % of the time: soon its share is small."""
    late = lived(bandit(), np.array([0.1, 0.6, 0.5]), 1500)[-300:]
    assert np.mean([c.probabilities[0] for c in late]) < 0.25


def test_an_expert_that_recovers_is_asked_again() -> None:
    """Discounting forgets the bad time."""
    made = bandit()
    lived(made, np.array([0.1, 0.6, 0.5]), 1000)
    late = lived(made, np.array([0.9, 0.6, 0.5]), 2500, seed=1)[-300:]
    assert np.mean([c.probabilities[0] for c in late]) > 0.7


def test_a_dearer_expert_is_left() -> None:
    """Burden is learnt from each answer, rated or not."""
    made, rng = bandit(), np.random.default_rng(3)
    for _ in range(400):
        choice = made.decide(X[rng.integers(len(X))], QUALITY, FREE, rng)
        made.learn(choice, burden=0.5 if choice.expert == 0 else 0.0)
    last = made.decide(X[0], QUALITY, FREE, rng)
    assert last.probabilities[0] < 0.1


def test_false_ratings_move_no_share_by_more_than_five_points() -> None:
    """20 of 400 sources rate the second expert 1 and the others 0, in a pool without drift."""
    rates, shares = QUALITY, []
    for lying in (False, True):
        made, rng, total = bandit(BanditSettings()), np.random.default_rng(4), np.zeros(3)
        for _ in range(3000):
            choice = made.decide(X[rng.integers(len(X))], QUALITY, FREE, rng)
            source, right = int(rng.integers(400)), float(rng.random() < rates[choice.expert])
            if lying and source < 20:
                right = float(choice.expert == 1)
            made.learn(choice, rating=right, burden=0.0, source=f"s{source}")
            total += choice.probabilities
        shares.append(total / total.sum())
    assert np.abs(shares[1] - shares[0]).max() < 0.05


@pytest.mark.parametrize("seed", range(3))
def test_a_careful_bandit_stays_near_its_baseline(seed: int) -> None:
    """Where the forecasts are right, no window of expected loss breaks alpha n + purse + 1."""
    settings = replace(QUICK, alpha=0.02, purse=3.0)
    choices = lived(bandit(settings), QUALITY, 1500, seed=seed)
    losses = np.array([0.7 - c.probabilities @ QUALITY for c in choices]) - 0.02
    sums = np.r_[0.0, np.cumsum(losses)]
    worst = float((sums - np.minimum.accumulate(sums)).max())
    assert worst <= 3.0 + 1
    free = lived(bandit(), QUALITY, 1500, seed=seed)
    assert np.mean([c.expert != 0 for c in choices]) < np.mean([c.expert != 0 for c in free])


def test_a_careful_bandit_leaves_a_degraded_baseline() -> None:
    """The promise is against what the baseline is now, so it does not tie it to a bad one."""
    settings = replace(QUICK, alpha=0.05, purse=5.0)
    late = lived(bandit(settings), np.array([0.1, 0.6, 0.5]), 2500)[-300:]
    assert np.mean([c.probabilities[0] for c in late]) < 0.5


def test_its_state_survives_a_restart() -> None:
    """Encoded and decoded, it decides and learns as if nothing had happened."""
    made = bandit(replace(QUICK, alpha=0.02))
    lived(made, np.array([0.1, 0.6, 0.5]), 160)
    again, names = decoded(*encoded(made, ["a", "b", "c"]))
    assert names == ("a", "b", "c")
    first, second = (lived(each, QUALITY, 50, seed=9) for each in (made, again))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_allclose(one.probabilities, other.probabilities, rtol=1e-6)


def test_damaged_and_foreign_states_are_refused() -> None:
    """With the reason."""
    card, arrays = encoded(bandit(), ["a", "b", "c"])
    with pytest.raises(ArtifactRejected, match="damaged"):
        decoded(card, arrays[:-1] + b"x")
    with pytest.raises(ArtifactRejected, match="not that of a"):
        decoded('{"format": "other"}', arrays)
    with pytest.raises(ArtifactRejected, match="not JSON"):
        decoded("", arrays)


def test_decisions_are_quick() -> None:
    """20 experts, 384 dimensions: the target is 0.3 ms; the test leaves room for busy machines."""
    rng = np.random.default_rng(0)
    wide = rng.normal(size=(300, 384))
    made = Bandit(fit_projection(wide), 20)
    quality, free = rng.random(20), np.zeros(20)
    took = []
    for x in wide:
        started = time.process_time_ns()
        made.decide(x, quality, free, rng)
        took.append(time.process_time_ns() - started)
    assert np.median(took) / 1e6 < 0.6
