"""Detect that an expert got worse, by betting on its marks against their forecasts.

Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting" (JRSS B, 2023),
and Shafer, "Testing by betting" (JRSS A, 2021): a gambler stakes a share of her money on each next
residual (mark less forecast) being low. As long as the expert is as good as it was she can't
expect to win, whenever anybody looks. Since nobody knows when an expert changes, she begins anew
at each mark; the sum of all these fortunes is Shin, Ramdas and Rinaldo's e-detector ("E-detectors",
New England Journal of Statistics in Data Science, 2024): on average it takes at least `PATIENCE`
marks of an unchanged expert until it passes `PATIENCE`.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
PATIENCE = 10_000.0
"""Marks of an unchanged expert between two false alarms, on average and at least."""
STAKES = np.array([0.1, 0.3, 0.9, 2.2])
"""Shares that are bet, side by side: small ones find small losses, large ones large losses soon."""
SAFE = 0.9
"""The most of her money that one mark can take from the gambler."""
LEAST_RANGE = 0.1
LEAST = 100
"""Marks of a stream before its bias is known well enough to bet on it."""
LAG = 300
"""A stream's bias is measured on marks that are at least so old: a loss must not hide itself."""
MARGIN, ERRORS = 0.015, 1.5
"""A negligible loss, and the number of standard errors of the bias added to it."""
MEMORY = 2000
"""Marks that a bias remembers."""
RECOVERED = 500.0
"""The same for bets on recovery: an alarm that ends too early would be raised again."""
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


@dataclass
class _Bias:
    """The mean residual of a stream while nothing changes."""

    count: int = 0
    mean: float = 0.0
    square: float = 0.0
    waiting: deque[float] = field(default_factory=deque)

    def take(self, residual: float) -> None:
        """Count the first marks at once, later ones when they are old."""
        if self.count < LEAST:
            return self._count(residual)
        self.waiting.append(residual)
        if len(self.waiting) > LAG:
            self._count(self.waiting.popleft())

    def _count(self, residual: float) -> None:
        self.count = min(self.count + 1, MEMORY)
        self.mean += (residual - self.mean) / self.count
        self.square += (residual**2 - self.square) / self.count

    @property
    def known(self) -> bool:
        return self.count >= LEAST

    @property
    def error(self) -> float:
        """The standard error of the mean."""
        return float(np.sqrt(max(self.square - self.mean**2, 0.01) / self.count))


@dataclass(frozen=True)
class _Step:
    """A mark as the gambler sees it: how far above its bias, and how far it could have been."""

    excess: float
    slack: float
    highest: float
    lowest: float
    prompt: str
    application: str | None
    rater: str

    def gains(self) -> Array:
        """Return the factor of each stake: above 1 if the mark is low; never 0."""
        stakes = np.minimum(STAKES, SAFE / max(self.highest + self.slack, LEAST_RANGE))
        return np.asarray(1 - stakes * (self.excess + self.slack))


@dataclass
class _Expert:
    fortunes: Array = field(default_factory=lambda: np.zeros(len(STAKES)))
    steps: deque[_Step] = field(default_factory=lambda: deque(maxlen=2 * LAG))
    lost: float | None = None
    """The detected loss, until the alarm ends."""
    recovery: Array = field(default_factory=lambda: np.zeros(len(STAKES)))
    since: int = 0
    """Marks since the alarm."""


class DriftWatch:
    """Watches all experts; depends only on the sequence of marks."""

    def __init__(self) -> None:
        self._experts: dict[str, _Expert] = defaultdict(_Expert)
        self._biases: dict[tuple[str, str], _Bias] = defaultdict(_Bias)
        self._shared: dict[str, dict[str, float]] = {}
        """By prompt and expert: the latest mark's deviation from its bias."""

    def see(self, mark: Marked) -> Loss | Recovery | None:
        """Process a mark; return what it reveals."""
        expert, bias = self._experts[mark.expert], self._biases[mark.expert, mark.stream]
        residual = mark.score - mark.forecast
        step = _step(mark, residual, bias) if bias.known else None
        if expert.lost is None:
            bias.take(residual)
        if step is None:
            return None
        self._share(mark, step)
        if expert.lost is not None:
            return self._recovering(mark.expert, expert, step)
        expert.steps.append(step)
        expert.fortunes = (expert.fortunes + 1) * step.gains()
        if expert.fortunes.mean() < PATIENCE:
            return None
        return self._alarm(mark.expert, expert)

    def alarmed(self, expert: str, points: float) -> None:
        """Take over an alarm that is open: watch for recovery."""
        self._experts[expert].lost = points

    def restart(self, expert: str) -> None:
        """Begin to bet anew, for its alarm has been dealt with. Biases stay as they are."""
        self._experts[expert] = _Expert()

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

    def _alarm(self, name: str, expert: _Expert) -> Loss:
        steps = _since_change(list(expert.steps))
        points = min(max(-float(np.mean([s.excess for s in steps])), 0.0), 1.0)
        common = self._others_lost(name, steps) >= COMMON * points
        by_application: dict[str | None, list[float]] = defaultdict(list)
        for step in steps:
            by_application[step.application].append(-step.excess)
        lone = None if common else _lone_rater(steps, points)
        self.restart(name)
        if common:  # what a mark means has changed, so biases have to be measured anew
            self._biases.clear()
            self._experts.clear()
        elif lone is None:
            self._experts[name].lost = points
        applications = {a: float(np.mean(each)) for a, each in by_application.items()}
        return Loss(name, points, len(steps), applications, common, lone)

    def _others_lost(self, name: str, steps: list[_Step]) -> float:
        """Return the other experts' mean loss on the same prompts; 0 without enough data."""
        prompts = {s.prompt for s in steps if s.prompt}
        others = [
            excess
            for prompt in prompts
            for other, excess in self._shared.get(prompt, {}).items()
            if other != name
        ]
        return -float(np.mean(others)) if len(others) >= FEWEST_SHARED else 0.0

    def _recovering(self, name: str, expert: _Expert, step: _Step) -> Recovery | None:
        """Bet against the expert still being worse by at least half of its loss."""
        assert expert.lost is not None
        half = expert.lost / 2
        stakes = np.minimum(STAKES, SAFE / max(-step.lowest - half, SAFE))
        expert.recovery = (expert.recovery + 1) * (1 + stakes * (step.excess + half))
        expert.since += 1
        if expert.recovery.mean() < RECOVERED:
            return None
        marks = expert.since
        self.restart(name)
        return Recovery(name, marks)


def _step(mark: Marked, residual: float, bias: _Bias) -> _Step:
    return _Step(
        excess=residual - bias.mean,
        slack=MARGIN + ERRORS * bias.error,
        highest=1 - mark.forecast - bias.mean,
        lowest=-mark.forecast - bias.mean,
        prompt=mark.prompt,
        application=mark.application,
        rater=mark.rater,
    )


def _lone_rater(steps: list[_Step], points: float) -> str | None:
    """Return the rater of most marks if the others' marks show no such loss."""
    count = Counter(step.rater for step in steps)
    rater = count.most_common(1)[0][0]
    others = [step.excess for step in steps if step.rater != rater]
    disputed = len(others) >= FEWEST_SHARED and -float(np.mean(others)) < COMMON * points
    return rater if disputed else None


def _since_change(steps: list[_Step]) -> list[_Step]:
    """Return the steps since the most likely beginning of a loss."""
    gains = np.log([step.gains() for step in steps])
    from_each = gains[::-1].cumsum(axis=0)[::-1]
    return steps[int(from_each.max(axis=1).argmax()) :]
