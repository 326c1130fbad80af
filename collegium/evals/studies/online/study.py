"""The bandit's regret and safety on a stream of recorded outcomes that drifts.

Regret is against a static router that is told of every change. Beside the regret: whether the
conservative bandit kept its promise in every window, and whether off-policy estimates from the
bandit's own log contain the truth. What poisoned ratings do is in `poison.py`.
"""

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from collegium.evals.core.arrays import Floats, Ints
from collegium.evals.studies.online.world import World
from collegium.router.online.bandit import Bandit, BanditSettings
from collegium.router.online.off_policy import (
    Estimate,
    doubly_robust,
    importance_sampling,
    self_normalised,
)

ALPHA = 0.02
SOURCES = 400
"""People who rate; who rates a step is drawn evenly."""
POLICIES = ("static", "bandit", "conservative", "told")
Progress = Callable[[Iterable[int]], Iterable[int]]


@dataclass(frozen=True)
class Run:
    """A bandit's way through a world: arrays over its steps.

    `expected` is the reward in expectation over the draw of the expert, `seen` that of the expert
    drawn; `shares` (models,) is the mean probability of each expert over the last half.
    """

    expected: Floats
    seen: Floats
    chosen: Ints
    propensity: Floats
    shares: Floats


@dataclass(frozen=True)
class Promise:
    """No window of n queries may lose more than alpha n + purse + 1 against the static router."""

    alpha: float
    purse: float
    worst: float
    """The largest loss over any window, less alpha a query."""

    @property
    def kept(self) -> bool:
        """Whether no window lost more."""
        return self.worst <= self.purse + 1


@dataclass(frozen=True)
class Candidate:
    """A policy judged from another one's log, and what it was truly worth on those queries."""

    name: str
    truth: float
    estimates: Mapping[str, Estimate]


@dataclass(frozen=True)
class Simulation:
    """One seed's results: expected rewards by policy, each (steps,), and what follows."""

    rewards: Mapping[str, Floats]
    promise: Promise
    candidates: tuple[Candidate, ...]

    def regret(self, policy: str) -> Floats:
        """Cumulative regret against the router that is told, shape (steps,)."""
        regret: Floats = np.cumsum(self.rewards["told"] - self.rewards[policy])
        return regret


def simulate(
    world: World, settings: BanditSettings, *, seed: int, progress: Progress = iter
) -> Simulation:
    """Run a free and a conservative bandit beside the static router and the one that is told."""
    free = Bandit(world.projection, len(world.models), settings)
    careful = Bandit(world.projection, len(world.models), replace(settings, alpha=ALPHA))
    logged = range(2 * world.steps // 3, world.steps)
    first = run(world, free, range(logged.start), seed=seed, progress=progress)
    frozen = copy.deepcopy(free)
    second = run(world, free, logged, seed=seed + 1, progress=progress)
    every = range(world.steps)
    guarded = run(world, careful, every, seed=seed, progress=progress)
    rewards = {
        "static": greedy_rewards(world, world.stale, every),
        "told": greedy_rewards(world, world.told, every),
        "bandit": np.concatenate([first.expected, second.expected]),
        "conservative": guarded.expected,
    }
    loss = rewards["static"] - rewards["conservative"]
    promise = Promise(ALPHA, settings.purse, worst_window(loss - ALPHA))
    return Simulation(rewards, promise, _candidates(world, second, logged, frozen))


def run(world: World, bandit: Bandit, steps: range, *, seed: int, progress: Progress = iter) -> Run:
    """Decide and learn through the steps; every answer is rated by one of `SOURCES` people."""
    random = np.random.default_rng([seed, 2])
    usual = world.costs.mean(axis=0)
    expected, seen = np.empty(len(steps)), np.empty(len(steps))
    chosen, propensity = np.empty(len(steps), dtype=np.int64), np.empty(len(steps))
    shares = np.zeros(len(world.models))
    for place, step in enumerate(progress(steps)):
        row = world.stream[step]
        choice = bandit.decide(world.X[row], world.forecasts[row], usual, random)
        quality, burden = world.quality(step), world.burden(step)
        expected[place] = choice.probabilities @ (quality - burden)
        seen[place] = quality[choice.expert] - burden[choice.expert]
        chosen[place], propensity[place] = choice.expert, choice.propensity
        shares += choice.probabilities * (2 * place >= len(steps))
        bandit.learn(
            choice,
            rating=float(quality[choice.expert]),
            burden=float(burden[choice.expert]),
            source=f"person {random.integers(SOURCES)}",
        )
    return Run(expected, seen, chosen, propensity, shares / shares.sum())


def greedy_rewards(world: World, beliefs: Callable[[int], Floats], steps: range) -> Floats:
    """The true reward at each step of the expert that `beliefs` of the step put first."""
    best = (int(beliefs(step).argmax()) for step in steps)
    pairs = zip(steps, best, strict=True)
    return np.array([(world.quality(s) - world.burden(s))[expert] for s, expert in pairs])


def worst_window(losses: Floats) -> float:
    """The largest sum over any run of consecutive losses, 0 for the empty one (Kadane)."""
    worst = here = 0.0
    for loss in losses.tolist():
        here = max(0.0, here + loss)
        worst = max(worst, here)
    return worst


def _candidates(world: World, log: Run, steps: range, frozen: Bandit) -> tuple[Candidate, ...]:
    usual = world.costs.mean(axis=0)

    def learnt(step: int) -> Floats:
        row = world.stream[step]
        return frozen.expected(world.X[row], world.forecasts[row], usual)

    return tuple(
        _judged(world, log, steps, name, beliefs)
        for name, beliefs in (("static", world.stale), ("learnt before", learnt))
    )


def _judged(
    world: World, log: Run, steps: range, name: str, beliefs: Callable[[int], Floats]
) -> Candidate:
    """Estimate a greedy policy from the log; the model of rewards is the stale forecast."""
    best = np.array([int(beliefs(step).argmax()) for step in steps])
    target = (best == log.chosen).astype(np.float64)
    stale = np.array([world.stale(step) for step in steps])
    rows = np.arange(len(steps))
    estimates = {
        "ips": importance_sampling(log.seen, log.propensity, target),
        "snips": self_normalised(log.seen, log.propensity, target),
        "dr": doubly_robust(
            log.seen, log.propensity, target, stale[rows, log.chosen], stale[rows, best]
        ),
    }
    return Candidate(name, float(greedy_rewards(world, beliefs, steps).mean()), estimates)
