"""Poisoning: 5 % false ratings, and how far they move any expert's share.

Nothing drifts here: all that moves is moved by the liars. Three lies, each for a target expert
that could gain: `spread` replaces 5 % of all ratings, 1 for the target and 0 for every other;
`boost` and `bury` come from a few sources that look for queries which the target answers, and
rate it 1 or 0: all 5 % hit one expert.
"""

from dataclasses import dataclass, replace

import numpy as np

from collegium.evals.core.arrays import Floats
from collegium.evals.studies.online.study import SOURCES, Progress
from collegium.evals.studies.online.world import World
from collegium.router.online.bandit import Bandit, BanditSettings

SHARE = 0.05
LIES = ("spread", "boost", "bury")
LIARS = round(SHARE * SOURCES)
TRIES = 20
"""Queries that a liar sends until the target answers one."""


@dataclass(frozen=True)
class Movement:
    """How far one lie moved the share of any expert, in points, with and without our bounds."""

    lie: str
    target: str
    defended: float
    undefended: float


def poison(
    world: World, settings: BanditSettings, *, seed: int, progress: Progress = iter
) -> tuple[Movement, ...]:
    """Compare shares over the last half of an undrifting stream, with a lie and without."""
    bare = replace(settings, contamination=0.0, source_cap=1e9)
    target = _runner_up(world)
    moved: dict[str, list[float]] = {lie: [] for lie in LIES}
    for bounds in (settings, bare):
        honest = _shares(world, bounds, None, target, seed, progress)
        for lie in LIES:
            told = _shares(world, bounds, lie, target, seed, progress)
            moved[lie].append(100 * float(np.abs(told - honest).max()))
    return tuple(
        Movement(lie, world.models[target], defended, undefended)
        for lie, (defended, undefended) in moved.items()
    )


def _runner_up(world: World) -> int:
    """The expert with the second largest share under the static router: it has most to gain."""
    stale = world.forecasts - world.costs.mean(axis=0)
    shares = np.bincount(stale.argmax(axis=1), minlength=len(world.models))
    return int(np.argsort(-shares, kind="stable")[1])


def _shares(
    world: World,
    settings: BanditSettings,
    lie: str | None,
    target: int,
    seed: int,
    progress: Progress,
) -> Floats:
    """Mean probability of each expert for honest queries over the last half, shape (models,)."""
    bandit = Bandit(world.projection, len(world.models), settings)
    random, mischief = np.random.default_rng([seed, 3]), np.random.default_rng([seed, 4])
    usual, shares = world.costs.mean(axis=0), np.zeros(len(world.models))
    for step in progress(range(world.steps)):
        row = world.stream[step]
        choice = bandit.decide(world.X[row], world.forecasts[row], usual, random)
        shares += choice.probabilities * (2 * step >= world.steps)
        rating = float(world.scores[row, choice.expert])
        source = f"person {random.integers(SOURCES)}"
        false = lie is not None and mischief.random() < SHARE
        if false and lie == "spread":
            rating, source = float(choice.expert == target), f"liar {mischief.integers(LIARS)}"
        elif false and lie is not None:
            _attack(world, bandit, lie, target, mischief)
            continue
        bandit.learn(
            choice, rating=rating, burden=float(world.costs[row, choice.expert]), source=source
        )
    return np.asarray(shares / shares.sum())


def _attack(
    world: World, bandit: Bandit, lie: str, target: int, mischief: np.random.Generator
) -> None:
    """Send queries until the target answers one, and rate it falsely."""
    usual = world.costs.mean(axis=0)
    for row in mischief.integers(len(world.X), size=TRIES):
        choice = bandit.decide(world.X[row], world.forecasts[row], usual, mischief)
        if choice.expert == target:
            source = f"liar {mischief.integers(LIARS)}"
            bandit.learn(choice, rating=float(lie == "boost"), source=source)
            return
