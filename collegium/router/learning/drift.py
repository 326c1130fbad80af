"""Detect that an expert got worse, by betting on its marks against their forecasts.

Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting" (JRSS B, 2023),
and Shafer, "Testing by betting" (JRSS A, 2021): `betting.py` has the bets, this module says what
follows from them.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from collegium.router.learning.betting import EVERY, LATEST, LEAST, NOTHING, Bias, Gamblers

Array = NDArray[np.float64]
PATIENCE = 30_000.0
"""Wealth that raises an alarm. In simulations (`tests/router/learning/test_drift.py`) marks of
experts that did not change cause one false alarm in 400,000; with 20,000 one in 150,000.
"""
STAKES = np.array([0.1, 0.3, 0.9, 2.2])
"""Shares that are bet on recovery, side by side."""
SAFE = 0.9
"""The most that one mark can take of what is bet on recovery."""
RECOVERED = 500.0
"""The same for bets on recovery: an alarm that ends too early would be raised again."""
ACCEPTED = 2 * LEAST
"""Marks that earlier ones count for once a person has dealt with an alarm."""
SHARED = 400
"""Shared prompts that are remembered, to compare experts on."""
FEWEST_SHARED = 8
COMMON = 0.5
"""If the other experts lost this fraction of an expert's loss on the same prompts, the marks have
changed, not the expert.
"""


@dataclass(frozen=True)
class Marked:
    """One mark in [0, 1] of an answer, and its forecast.

    Marks of one `stream` (a source, and the router that forecast) may all be off by a constant.
    """

    expert: str
    score: float
    forecast: float
    stream: str = ""
    prompt: str = ""
    """Equal for experts that were asked the same; "" if no other was."""
    application: str | None = None
    rater: str = ""
    """Who gave the mark; "" for a program."""


@dataclass(frozen=True)
class Loss:
    """A detected loss: its size, and the number of marks since it began."""

    expert: str
    points: float
    marks: int
    applications: Mapping[str | None, float] = field(default_factory=dict)
    """The loss in each application that has some of these marks."""
    common: bool = False
    """Whether the other experts lost as much on the same prompts."""
    disputed_by: str | None = None
    """The one rater who sees the loss while the others don't."""


@dataclass(frozen=True)
class Recovery:
    """An expert with a detected loss is as good as before."""

    expert: str
    marks: int


@dataclass(frozen=True)
class _Step:
    """A mark, and what was expected of it."""

    mark: Marked
    expected: float

    @property
    def excess(self) -> float:
        """How much better the answer was than expected."""
        return self.mark.score - self.expected

    def lost_since(self, biases: Mapping[str, Bias]) -> float:
        """How much worse the answer was than expected by earlier biases."""
        before = biases.get(self.mark.stream, NOTHING)
        return before.expected(self.mark.forecast) - self.mark.score


@dataclass
class _Expert:
    biases: dict[str, Bias] = field(default_factory=dict)
    """By stream."""
    gamblers: Gamblers = field(default_factory=Gamblers)
    steps: deque[_Step] = field(default_factory=lambda: deque(maxlen=EVERY * LATEST))
    count: int = 0
    """Of steps, those that are forgotten included."""
    lost: float | None = None
    """The detected loss, until the alarm ends."""
    recovery: Array = field(default_factory=lambda: np.zeros(len(STAKES)))
    since: int = 0
    """Marks since the alarm."""

    def bet(self, step: _Step, bias: Bias) -> float:
        """Bet on a mark, and return the gamblers' wealth."""
        if self.count % EVERY == 0:
            self.gamblers.join(self.count, self.biases)
        self.steps.append(step)
        self.count += 1
        self.gamblers.bet(step.mark.stream, bias, step.mark.score, step.mark.forecast)
        return self.gamblers.wealth()


class DriftWatch:
    """Watches all experts; depends only on the sequence of marks."""

    def __init__(self) -> None:
        self._experts: dict[str, _Expert] = defaultdict(_Expert)
        self._shared: dict[str, dict[str, float]] = {}
        """By prompt and expert: the latest mark's deviation from its bias."""

    def see(self, mark: Marked) -> Loss | Recovery | None:
        """Process a mark; return what it reveals."""
        expert = self._experts[mark.expert]
        bias = expert.biases.get(mark.stream, NOTHING)
        step = _Step(mark, bias.expected(mark.forecast))
        if bias.known:
            self._share(mark, step)
        if expert.lost is not None:
            return self._recovering(mark.expert, expert, step) if bias.known else None
        wealth = expert.bet(step, bias) if bias.known else 0.0
        expert.biases[mark.stream] = bias.with_mark(mark.score, mark.forecast)
        return self._alarm(mark.expert, expert) if wealth >= PATIENCE else None

    def alarmed(self, expert: str, points: float) -> None:
        """Take over an alarm that is open: watch for recovery."""
        self._experts[expert].lost = points

    def restart(self, expert: str) -> None:
        """Begin to bet anew, for its alarm has been dealt with.

        What was usual before the loss counts less from now on: the loss may have been accepted.
        """
        biases = self._experts[expert].biases
        self._begin(expert, {s: bias.with_memory(ACCEPTED) for s, bias in biases.items()})

    def open(self) -> frozenset[str]:
        """The experts whose alarm has not ended."""
        return frozenset(name for name, e in self._experts.items() if e.lost is not None)

    def _share(self, mark: Marked, step: _Step) -> None:
        if not mark.prompt:
            return
        latest = self._shared.pop(mark.prompt, {})
        self._shared[mark.prompt] = {**latest, mark.expert: step.excess}
        if len(self._shared) > SHARED:
            del self._shared[next(iter(self._shared))]

    def _begin(self, expert: str, biases: Mapping[str, Bias]) -> _Expert:
        self._experts[expert] = _Expert(dict(biases))
        return self._experts[expert]

    def _alarm(self, name: str, expert: _Expert) -> Loss:
        """Tell the loss, as compared with the biases before the change."""
        began, usual = expert.gamblers.richest()
        steps = list(expert.steps)[began - expert.count :]
        losses = [step.lost_since(usual) for step in steps]
        late = _late(losses)
        steps, losses = steps[late:], losses[late:]
        points = min(max(float(np.mean(losses)), 0.0), 1.0)
        common = self._is_common(name, steps)
        by_application: dict[str | None, list[float]] = defaultdict(list)
        for step, lost in zip(steps, losses, strict=True):
            by_application[step.mark.application].append(lost)
        lone = None if common else _lone_rater(steps, losses)
        if common:  # what a mark means has changed, so biases have to be measured anew
            self._experts.clear()
        elif lone is not None:
            self.restart(name)
        else:
            self._begin(name, usual).lost = points
        applications = {a: float(np.mean(each)) for a, each in by_application.items()}
        return Loss(name, points, len(steps), applications, common, lone)

    def _is_common(self, name: str, steps: list[_Step]) -> bool:
        """Whether the other experts lost about as much on the same prompts."""
        prompts = {s.mark.prompt for s in steps if s.mark.prompt}
        shared = [self._shared.get(prompt, {}) for prompt in prompts]
        own = [each[name] for each in shared if name in each]
        others = [excess for each in shared for other, excess in each.items() if other != name]
        if len(others) < FEWEST_SHARED:
            return False
        return float(np.mean(others)) <= COMMON * float(np.mean(own))

    def _recovering(self, name: str, expert: _Expert, step: _Step) -> Recovery | None:
        """Bet against the expert still being worse by at least half of its loss."""
        assert expert.lost is not None
        half = expert.lost / 2
        stakes = np.minimum(STAKES, SAFE / max(step.expected - half, SAFE))
        expert.recovery = (expert.recovery + 1) * (1 + stakes * (step.excess + half))
        expert.since += 1
        if expert.recovery.mean() < RECOVERED:
            return None
        self._begin(name, expert.biases)
        return Recovery(name, expert.since)


def _late(losses: list[float]) -> int:
    """How many marks the change came after the gambler began: less than there are to the next one.

    The loss since then stands out most (the estimate of CUSUM charts).
    """
    late = range(min(EVERY, len(losses)))
    return max(late, key=lambda n: float(np.mean(losses[n:])) * (len(losses) - n) ** 0.5)


def _lone_rater(steps: list[_Step], losses: list[float]) -> str | None:
    """Return the rater to whose marks most of the loss is due if the others' show no such loss."""
    by_rater: dict[str, list[float]] = defaultdict(list)
    for step, lost in zip(steps, losses, strict=True):
        by_rater[step.mark.rater].append(lost)
    rater = max(by_rater, key=lambda name: sum(by_rater[name]))
    others = [lost for name, each in by_rater.items() if name != rater for lost in each]
    disputed = len(others) >= FEWEST_SHARED and np.mean(others) < COMMON * np.mean(losses)
    return rater if disputed else None
