"""A world: eight experts with list prices that replay recorded outcomes, and applications.

Each expert has the outcomes of one real model of each set: stronger models of a set tend to go to
dearer experts, so that there is a best single expert, near-equals and bargains, and who is best
differs from task to task. Half of the prompts at most is kept to judge; a fit never sees those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from collegium.errors import SetupError
from collegium.evals.core.arrays import Bools, Floats, Ints
from collegium.evals.core.data import RoutingData
from collegium.evals.routing.costs import CHARACTERS_A_TOKEN
from collegium.registry.expert import Expert

EXPERTS: Mapping[str, tuple[float, float]] = {
    "flagship": (10.0, 30.0),
    "large": (3.0, 15.0),
    "medium": (1.25, 5.0),
    "open-70b": (0.9, 0.9),
    "turbo": (0.5, 1.5),
    "light": (0.25, 1.25),
    "mini": (0.15, 0.6),
    "local-8b": (0.05, 0.08),
}
"""Dollars per million tokens of input and output, as such models cost in 2023 to 2025. The names
are invented: each expert plays a different model in each set, so published scores would mislead.
"""
TASK_LABELS = ("task", "category", "dataset", "domain", "benchmark")
LEFT_OUT = ("gpt4_1106_preview",)
"""AlpacaEval scores its own reference model 0.5 by definition."""
MOST_OF_A_SET, MOST_JUDGES = 920, 1_600
FEWEST_OF_A_TASK = 15
USUAL_TOKENS = 120.0
OVERHEAD = 150.0
"""Tokens of an application's own prompt."""


@dataclass(frozen=True)
class World:
    """Prompts (n), the true task of each, the application that asks, and what experts do (n, e)."""

    name: str
    prompts: tuple[str, ...]
    tasks: tuple[str, ...]
    applications: tuple[str | None, ...]
    experts: tuple[Expert, ...]
    scores: Floats
    input_tokens: Floats
    output_tokens: Floats
    train: Ints
    judges: Ints

    @property
    def usd(self) -> Floats:
        """What each answer costs, shape (n, e)."""
        price = np.array([(e.input_price, e.output_price) for e in self.experts], dtype=float)
        dollars = self.input_tokens[:, None] * price[:, 0] + self.output_tokens * price[:, 1]
        return np.asarray(dollars / 1_000_000)

    def without_applications(self) -> World:
        """Return the same world without applications."""
        return replace(self, name="anonymous", applications=(None,) * len(self.prompts))


def world(sets: Sequence[RoutingData], *, seed: int = 0, chance: float = 0.2) -> World:
    """The world of these sets; `chance` is how far luck moves models between experts."""
    random = np.random.default_rng(seed)
    parts = [_part(each, random, chance) for each in sets]
    if not parts:
        raise SetupError("an adoption world needs at least one set of outcomes")
    prompts = tuple(p for part in parts for p in part.prompts)
    scores, output = (np.vstack([getattr(p, f) for p in parts]) for f in ("scores", "tokens"))
    tasks = tuple(task for part in parts for task in part.tasks)
    order = random.permutation(len(prompts))
    judges = min(MOST_JUDGES, len(prompts) // 2)
    return World(
        "pure",
        prompts,
        tasks,
        tuple(f"app-{number:02d}" for number in np.unique(tasks, return_inverse=True)[1]),
        tuple(_expert(name, *prices) for name, prices in EXPERTS.items()),
        scores,
        np.array([len(p) / CHARACTERS_A_TOKEN + OVERHEAD for p in prompts]),
        output,
        order[judges:],
        order[:judges],
    )


def _expert(name: str, input_price: float, output_price: float) -> Expert:
    return Expert(
        name,
        "openai",
        name,
        base_url=f"http://{name}.invalid/v1",
        input_price=input_price,
        output_price=output_price,
        context_window=128_000,
    )


@dataclass(frozen=True)
class _Part:
    prompts: list[str]
    tasks: list[str]
    scores: Floats
    tokens: Floats


def _part(data: RoutingData, random: np.random.Generator, chance: float) -> _Part:
    able = np.isfinite(data.scores).mean(axis=0) > 0.9
    able &= ~np.isin(data.models, LEFT_OUT)
    strongest = np.flatnonzero(able)[np.argsort(-np.nanmean(data.scores[:, able], axis=0))]
    if len(strongest) < 2:
        raise SetupError(f"'{data.name}' has fewer than two models that answered most prompts")
    columns = _cast(strongest[: max(len(EXPERTS), int(0.8 * len(strongest)))], random, chance)
    complete = np.isfinite(data.scores[:, columns]).all(axis=1)
    rows = random.permutation(np.flatnonzero(complete))[:MOST_OF_A_SET]
    return _Part(
        [data.prompts[row] for row in rows],
        _tasks(data, rows),
        data.scores[np.ix_(rows, columns)],
        _tokens(data, rows, columns, random),
    )


def _cast(models: Ints, random: np.random.Generator, chance: float) -> Ints:
    """A model for each expert, dearest first: near its own rank, moved by luck."""
    taken: list[int] = []
    for place in range(len(EXPERTS)):
        luck = abs(random.normal()) * 0.08 if place == 0 else random.normal() * chance
        wanted = (0.0 if place == 0 else (place + 0.5) / len(EXPERTS)) + luck
        ranks = (np.arange(len(models)) + 0.5) / len(models)
        nearest = np.argsort(np.abs(ranks - wanted), kind="stable")
        free = [int(i) for i in nearest if i not in taken]
        taken.append(free[0] if free else int(nearest[0]))
    return np.asarray(models[taken])


def _tasks(data: RoutingData, rows: Ints) -> list[str]:
    """The true task of each prompt; rare ones count as one."""
    for label in TASK_LABELS:
        if label in data.labels:
            found = [str(data.labels[label][row]) for row in rows]
            names, counts = np.unique(found, return_counts=True)
            rare = set(names[counts < FEWEST_OF_A_TASK].tolist())
            return [f"{data.name}/{'other' if task in rare else task}" for task in found]
    return [data.name] * len(rows)


def _tokens(data: RoutingData, rows: Ints, columns: Ints, random: np.random.Generator) -> Floats:
    """Output tokens as recorded, else drawn: each model has its own verbosity."""
    cells = np.ix_(rows, columns)
    drawn = USUAL_TOKENS * np.exp(random.normal(0, 0.25, len(columns)))
    drawn = drawn * np.exp(random.normal(0, 0.5, (len(rows), len(columns))))
    for name, scale in (("out_tokens", 1.0), ("response_chars", 1 / CHARACTERS_A_TOKEN)):
        if name in data.extras:
            known = data.extras[name][cells] * scale
            drawn = np.where(np.isfinite(known), known, drawn)
            break
    return np.asarray(np.maximum(drawn, 1.0))


def disturbed(pure: World, *, seed: int = 0) -> World:
    """Two fifths of the applications merged in pairs, a fifth split, a tenth of the prompts in the
    wrong one, a fifth of the traffic anonymous.
    """
    random = np.random.default_rng(seed)
    names = np.array(pure.applications, dtype=object)  # of any length
    different = random.permutation(np.unique(names))
    pairs = different[: 2 * (len(different) // 5)]
    for one, other in zip(pairs[::2], pairs[1::2], strict=True):
        names[names == other] = one
    for name in different[len(pairs) : len(pairs) + len(different) // 5]:
        mine = np.flatnonzero(names == name)
        names[random.permutation(mine)[: len(mine) // 2]] = f"{name}x"
    wrong = random.random(len(names)) < 0.1
    names[wrong] = random.choice(names, int(wrong.sum()))
    silent = random.random(len(names)) < 0.2
    told = tuple(None if s else str(n) for s, n in zip(silent, names, strict=True))
    return replace(pure, name="disturbed", applications=told)


def unseen(pure: World, family: str) -> tuple[World, Bools]:
    """The world whose marks hold nothing of a set; also which prompts are of it."""
    inside = np.array([task.startswith(f"{family}/") or task == family for task in pure.tasks])
    train = pure.train[~inside[pure.train]]
    judges = np.flatnonzero(inside)
    return replace(pure, name=f"unseen {family}", train=train, judges=judges), inside
