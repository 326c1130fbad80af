"""Report the expected effect of a fitted router: savings, losses and their uncertainty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collegium.router.beliefs.promise import (
    GRID,
    LEAD,
    UNKNOWN_USD,
    Promise,
    best_single,
    much_marked,
    promise,
    worths,
)
from collegium.router.learning.panels import PlayedPanel, Replays, panels_that_pay, vain_panels
from collegium.router.tradeoff import choices
from collegium.router.virtual_models import VIRTUAL_MODELS, VirtualModel

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
RESAMPLES = 400
PROMISING = ("balanced", "cheap")
"""Virtual models that promise a loss."""
WORST = 8
Z = 1.96
GUESSED_SD = 0.19
"""How far a forecast for an application may be from what two experts would do there that nobody
asked in it. In four worlds of recorded answers an expert's level against the others has a standard
deviation of 0.13 over tasks, and so the difference of two of 0.19."""


@dataclass(frozen=True)
class Held:
    """Marked prompts (n) by experts (e): forecasts that did not see the prompt, marks, dollars.

    `scores` are NaN where nothing was marked; `cost` is what an answer was forecast to cost, `usd`
    what it did cost, and the forecast where it was not asked for. `applications` (n) and `texts`
    (n) tell of the prompts, `names` (e) of the experts.
    """

    quality: Array
    scores: Array
    cost: Array
    usd: Array
    names: Sequence[str]
    applications: Sequence[str | None]
    texts: Sequence[str]
    answers: Mapping[tuple[int, int], str]
    """The answers, by row and column."""
    confirmed: bool
    """Whether the marks are a program's or a person's, or corrected by such."""
    panels: Sequence[PlayedPanel] = ()
    """Panels that the run asked for answers of their own."""
    contrast_sd: float = 0.0
    """Standard deviation of the difference between two experts' quality due to a judge's bias."""


@dataclass(frozen=True)
class Report:
    """The report as it is kept and shown."""

    prompts: int
    marks: int
    experts: list[dict[str, Any]]
    best_single: str
    policies: dict[str, dict[str, Any]]
    curve: list[dict[str, float]]
    saving_at_one_point: dict[str, Any]
    applications: list[dict[str, Any]]
    worst: list[dict[str, Any]]
    more: list[dict[str, float]]
    """The margin that more marks would give, and their cost."""
    ceiling: float
    """The share of prompts that any expert answers correctly: an upper bound for routing."""
    random_at_equal_cost: float
    confirmed: bool
    panels: list[dict[str, Any]]
    """Panels that would pay, best first."""
    warnings: list[str] = field(default_factory=list)


def report(held: Held, *, usd_a_prompt: float) -> Report:
    """Judge the router on the marked prompts, each by forecasts that were made without it.

    `usd_a_prompt` is what replaying one more prompt costs.
    """
    scores = completed(held)
    best = best_single(scores, held.cost, much_marked(held.scores))
    curve = Curve.of(held, scores, best)
    policies = {
        "auto": _auto(held, scores, best, curve),
        **{
            name: _promised(held, scores, best, VIRTUAL_MODELS[f"collegium/{name}"], curve)
            for name in PROMISING
        },
    }
    hindsight = curve.at_loss(0.01)
    told = policies["balanced"] if policies["balanced"]["saved"] else hindsight
    margin = told["margin_points"]
    replays = Replays(
        held.scores, held.usd, held.answers, held.names, held.applications, held.panels
    )
    means = scores.mean(axis=0), held.usd.mean(axis=0)
    return Report(
        prompts=len(scores),
        marks=int((~np.isnan(held.scores)).sum()),
        experts=expert_rows(held, scores),
        best_single=held.names[best],
        policies=policies,
        curve=curve.rows(),
        saving_at_one_point=hindsight,
        applications=_applications(held, scores, best, policies["balanced"].pop("chosen")),
        worst=_worst(held, best, policies["cheap"].pop("chosen")),
        more=_more(len(scores), margin, usd_a_prompt),
        ceiling=round(float(scores.max(axis=1).mean()), 4),
        random_at_equal_cost=round(random_at(*means, policies["balanced"]["usd_per_1k"] / 1000), 4),
        confirmed=held.confirmed,
        panels=panels_that_pay(replays, best),
        warnings=[*_warnings(held, margin), *vain_panels(replays, best)],
    )


def completed(held: Held) -> Array:
    """Fill missing marks with forecasts: a race drops weak experts early."""
    return np.where(np.isnan(held.scores), held.quality, held.scores)


@dataclass(frozen=True)
class Curve:
    """The effect of each trade-off on each prompt; all arrays have shape (trade-offs, n)."""

    lost: Array
    spent: Array
    usual: Array
    """The cost of the best single expert (n)."""
    weights: Array
    """Bootstrap weights of the prompts, (resamples, n)."""
    contrast_sd: float
    guessed: Bools
    """Where a forecast replaces a missing mark."""

    @classmethod
    def of(cls, held: Held, scores: Array, best: int, grid: Array = GRID) -> Curve:
        """The curve of these trade-offs."""
        chosen = np.stack([_chosen(held, best, given_up) for given_up in grid])
        asked = ~np.isnan(held.scores)
        each = np.arange(len(scores))
        random = np.random.default_rng(0)
        count = len(scores)
        weights = random.multinomial(count, np.full(count, 1 / count), RESAMPLES) / count
        lost = np.stack([scores[each, best] - scores[each, row] for row in chosen])
        spent = np.stack([held.usd[each, row] for row in chosen])
        guessed = np.stack([~asked[each, row] | ~asked[:, best] for row in chosen])
        return cls(lost, spent, held.usd[:, best], weights, held.contrast_sd, guessed)

    def described(self, at: NDArray[np.intp]) -> dict[str, Any]:
        """Return loss and saving if each prompt (n) is decided by the trade-off with that index."""
        each = np.arange(len(at))
        guessed = self.guessed[at, each]
        return self.figures(self.lost[at, each], self.spent[at, each], guessed)

    def figures(self, lost: Array, spent: Array, guessed: Bools) -> dict[str, Any]:
        """Mean loss in points, its margin, and the money saved with its interval."""
        saved = 1 - (self.weights @ spent) / np.maximum(self.weights @ self.usual, 1e-15)
        usual = float(self.usual.mean())
        free = usual <= 0  # then there is nothing to save
        return {
            "loss_points": round(100 * float(lost.mean()), 2),
            "margin_points": round(100 * Z * self._sd(lost, guessed, spent != self.usual), 2),
            "unmeasured": round(float(guessed.mean()), 4),
            "saved": None if free else round(1 - float(spent.mean()) / usual, 4),
            "saved_interval": None
            if free
            else [round(float(q), 4) for q in np.quantile(saved, (0.025, 0.975))],
            "usd_per_1k": round(1000 * float(spent.mean()), 6),
        }

    def _sd(self, lost: Array, guessed: Bools, others: Bools) -> float:
        """The standard deviation of a mean loss: sampling, a judge's bias, and imputed marks."""
        moved = float((lost != 0).mean())
        chance = _chance(lost, others)
        unknown = np.hypot(moved * self.contrast_sd, float(guessed.mean()) * GUESSED_SD)
        return float(np.hypot(chance, unknown))

    def rows(self) -> list[dict[str, float]]:
        """The whole curve with bands, loss in points and saved as a share."""
        lost, spent = self.weights @ self.lost.T, self.weights @ self.spent.T
        saved = 1 - spent / np.maximum(self.weights @ self.usual, 1e-15)[:, None]
        if self.usual.mean() <= 0:  # then there is nothing to save
            saved = np.zeros_like(spent)
        found = []
        for i, given_up in enumerate(GRID):
            low, high = np.quantile(lost[:, i], (0.025, 0.975))
            found.append(
                {
                    "given_up": round(float(given_up), 5),
                    "loss_points": round(100 * float(self.lost[i].mean()), 3),
                    "loss_low": round(100 * float(low), 3),
                    "loss_high": round(100 * float(high), 3),
                    "saved": round(float(np.mean(saved[:, i])), 4),
                }
            )
        return found

    def at_loss(self, most: float) -> dict[str, Any]:
        """The most that is saved at a mean loss of at most `most`, chosen in hindsight."""
        able = np.flatnonzero(self.lost.mean(axis=1) <= most)
        at = max(able, key=lambda i: -self.spent[i].mean(), default=0)
        return self.described(np.full(self.lost.shape[1], at, dtype=np.intp))


def _chosen(held: Held, best: int, given_up: float) -> NDArray[np.intp]:
    """Return the expert for each prompt at one trade-off, as the service would choose it."""
    usual = float(held.cost[:, best].mean())
    price = given_up / usual if usual > 0 else 0.0
    lead = LEAD / len(held.cost) ** 0.5
    return choices(worths(held.quality, held.cost, best, lead=lead, price=price), held.cost, 0.0)


def _auto(held: Held, scores: Array, best: int, curve: Curve) -> dict[str, Any]:
    """The best forecast, whatever it costs."""
    each, chosen = np.arange(len(scores)), choices(held.quality, held.cost, 0.0)
    lost = scores[each, best] - scores[each, chosen]
    return curve.figures(lost, held.usd[each, chosen], guessed(held, chosen, best))


def _promised(
    held: Held, scores: Array, best: int, model: VirtualModel, curve: Curve
) -> dict[str, Any]:
    """Return what a virtual model would do on these prompts.

    Its trade-off is one of sixty, found on the same prompts: that flatters it a little.
    """
    found = promise(held.quality, held.scores, held.cost, most_loss=model.most_loss)
    chosen = _served(held, found, model)
    each = np.arange(len(scores))
    lost = scores[each, best] - scores[each, chosen]
    shares = {n: round(float((chosen == i).mean()), 4) for i, n in enumerate(held.names)}
    figures = curve.figures(lost, held.usd[each, chosen], guessed(held, chosen, best))
    kept = found is not None and found.kept
    told = {"shares": {n: s for n, s in shares.items() if s}, "promised": kept}
    return {**figures, **told, "chosen": chosen}


def guessed(held: Held, chosen: NDArray[np.intp], best: int) -> Bools:
    """Where the chosen or the best single expert has no mark (n)."""
    missing = np.isnan(held.scores)
    return np.asarray(missing[np.arange(len(chosen)), chosen] | missing[:, best])


def _served(held: Held, found: Promise | None, model: VirtualModel) -> NDArray[np.intp]:
    """Return the expert for each prompt if a virtual model is requested."""
    if found is None:
        return choices(held.quality, held.cost, model.unmeasured)
    if not found.kept:
        return np.full(len(held.quality), found.best, dtype=np.intp)
    terms = {"lead": found.lead, "price": found.price, "floor": found.floor}
    return choices(worths(held.quality, held.cost, found.best, **terms), held.cost, 0.0)


def _dollars(usd: Array) -> float | None:
    """Return dollars per thousand prompts; None if a price is unknown."""
    mean = float(usd.mean())
    return None if mean >= UNKNOWN_USD else round(1000 * mean, 6)


def expert_rows(held: Held, scores: Array) -> list[dict[str, Any]]:
    marked = (~np.isnan(held.scores)).sum(axis=0)
    return [
        {
            "expert": name,
            "marks": int(marked[i]),
            "quality": round(float(scores[:, i].mean()), 4),
            "usd_per_1k": _dollars(held.usd[:, i]),
        }
        for i, name in enumerate(held.names)
    ]


def _applications(
    held: Held, scores: Array, best: int, chosen: NDArray[np.intp]
) -> list[dict[str, Any]]:
    names = np.array([a or "" for a in held.applications])
    found = []
    for name in np.unique(names):
        rows = np.flatnonzero(names == name)
        lost = scores[rows, best] - scores[rows, chosen[rows]]
        usual = float(held.usd[rows, best].mean())
        counts = np.bincount(chosen[rows], minlength=len(held.names))
        missing = guessed(held, chosen, best)[rows]
        measured = ~np.isnan(held.scores[rows]).all(axis=0)
        level = np.where(measured, scores[rows].mean(axis=0), -1.0)
        found.append(
            {
                "application": str(name) or None,
                "prompts": len(rows),
                "best_expert": held.names[int(level.argmax())],
                "mostly_sent_to": held.names[int(counts.argmax())],
                "loss_points": round(100 * float(lost.mean()), 2),
                "margin_points": round(100 * Z * _margin(lost, missing, chosen[rows] != best), 2),
                "unmeasured": round(float(missing.mean()), 4),
                "saved": round(1 - float(held.usd[rows, chosen[rows]].mean()) / usual, 4)
                if usual > 0
                else None,
            }
        )
    return sorted(found, key=lambda row: -row["prompts"])


def _margin(lost: Array, guessed: Bools, others: Bools) -> float:
    return float(np.hypot(_chance(lost, others), guessed.mean() * GUESSED_SD))


def _chance(lost: Array, others: Bools) -> float:
    """Return the standard error of a mean loss (n,) where `others` (n,) than the best expert
    answer.

    One more answer is counted as lost there: that none was among a few proves little (the rule of
    three).
    """
    count = len(lost)
    return float(np.sqrt((lost.var() + others.any() / count) / count))


def _worst(held: Held, best: int, chosen: NDArray[np.intp]) -> list[dict[str, Any]]:
    """Prompts whose chosen expert was marked furthest below the best single one."""
    each = np.arange(len(chosen))
    lost = held.scores[each, best] - held.scores[each, chosen]
    lost = np.where(np.isnan(lost), 0.0, lost)
    rows = np.argsort(-lost, kind="stable")[:WORST]
    return [
        {
            "prompt": held.texts[row][:200],
            "application": held.applications[row],
            "sent_to": held.names[chosen[row]],
            "score": round(float(held.scores[row, chosen[row]]), 3),
            "best_single_score": round(float(held.scores[row, best]), 3),
        }
        for row in rows
        if lost[row] > 0
    ]


def _more(count: int, margin: float, usd_a_prompt: float) -> list[dict[str, float]]:
    """A margin falls with the root of the number of prompts."""
    return [
        {
            "prompts": float((factor - 1) * count),
            "margin_points": round(margin / factor**0.5, 2),
            "usd": round((factor - 1) * count * usd_a_prompt, 4),
        }
        for factor in (2, 4)
    ]


def random_at(quality: Array, usd: Array, budget: float) -> float:
    """The quality of a random expert at the same cost: the best mixture of two experts' means.

    `quality` and `usd` are means by expert (e), `budget` what one answer costs.
    """
    budget = float(np.clip(budget, usd.min(), usd.max()))
    low, high = np.meshgrid(np.arange(len(usd)), np.arange(len(usd)))
    around = (usd[low] <= budget) & (budget <= usd[high])
    apart = usd[high] - usd[low]
    part = np.where(apart > 0, (budget - usd[low]) / np.where(apart > 0, apart, 1.0), 0.0)
    mixed = quality[low] + part * (quality[high] - quality[low])
    return float(mixed[around].max())


def _warnings(held: Held, margin: float) -> list[str]:
    found = []
    if held.usd.max() >= UNKNOWN_USD:
        found.append(
            "An expert's price is unknown, so no saving by it is counted: state prices with "
            "`collegium expert update NAME --input-price … --output-price …`."
        )
    if not held.confirmed:
        found.append(
            "At least half of the marks are by a judge or by agreement, and too few of them were "
            "confirmed: nothing is promised. Confirm marks with `collegium learn confirm`."
        )
    if held.contrast_sd > 0.01:
        found.append(
            "A judge's favour is known to "
            f"±{100 * Z * held.contrast_sd:.0f} points for each pair of experts: no number of its "
            "marks supports a promise of one point, only more confirmed marks do."
        )
    if margin > 5:
        found.append(f"{len(held.scores)} prompts support a margin of ±{margin:.1f} points only.")
    return found
