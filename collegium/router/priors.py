"""Priors of experts without measurements, and the best expert on the first day.

A prior is on the scale of `priors.json`: the share of right answers on MMLU-Pro, as reported in the
sources that it names, for a few older models converted from MMLU. It ranks models; it does not
promise that share on other questions.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from collegium.registry.expert import BUILTIN, Expert
from collegium.router.model_names import canonical, is_same_model, size_b

TABLE = Path(__file__).with_name("priors.json")
OWNER_SD = 0.1
"""The owner's word is about the traffic that the expert will see."""
PUBLISHED_SD = 0.12
"""Reports on the same model have an sd of 0.02 (nine models with two or three); the rest is
for other questions than the benchmark's."""
MEASURED_SD = 0.12
"""The general questions are others than the benchmark's, and easier or harder for some."""
FEWEST_KINDS = 8
"""The minimum number of general question kinds that make a profile representative."""
UNKNOWN_MEAN = 0.3
"""The expected rate of a model about which nothing is known."""
INPUT_WEIGHT = 3
"""Prompts have about three times the tokens of answers, in the cost that experts are sorted by."""


@dataclass(frozen=True)
class Prior:
    """The expected rate, its standard deviation, and its source."""

    value: float
    sd: float
    source: str


@dataclass(frozen=True)
class Published:
    """One row of the table."""

    names: tuple[str, ...]
    score: float
    source: str
    parameters_b: float | None = None
    output_price: float | None = None


@dataclass(frozen=True)
class Fit:
    """ln(score / (1 - score)) = intercept + slope ln(x), with the residual's sd in the score."""

    intercept: float
    slope: float
    sd: float

    def at(self, x: float) -> float:
        """The expected score."""
        return 1 / (1 + math.exp(-self.intercept - self.slope * math.log(x)))


BY_SIZE = Fit(-0.836, 0.387, 0.151)
"""For billions of parameters: a least-squares fit to the table's 92 models of known size."""
BY_PRICE = Fit(0.841, 0.143, 0.141)
"""For dollars per million output tokens at publication: a fit to the table's 66 models with a
price.
"""


def prior_of(expert: Expert) -> Prior | None:
    """Return the prior from the owner's statement, a published score, a measured profile, size or
    price, in this order; None if nothing is known.

    Presets of a model share its prior unless the owner gave them one. By size, the log-odds are
    -0.836 + 0.387 ln(billions of parameters), with a residual sd of 0.151 in the score; by price
    0.841 + 0.143 ln(dollars per million output tokens), sd 0.141. Age is not in the fits: in one
    size, models of different years are 0.4 apart.
    """
    if expert.prior is not None:
        return Prior(expert.prior, OWNER_SD, "stated by the owner")
    names = (expert.model, expert.name)
    for name in names:
        if (row := _published(canonical(name))) is not None:
            return Prior(row.score, PUBLISHED_SD, f"published for {row.names[0]}: {row.source}")
    if (measured := _measured(expert)) is not None:
        return measured
    size = expert.parameters_b or next(filter(None, map(size_b, names)), None)
    if size is not None:
        return Prior(BY_SIZE.at(size), BY_SIZE.sd, f"by its size, {size:g} billion parameters")
    if expert.output_price:
        price = expert.output_price
        return Prior(
            BY_PRICE.at(price), BY_PRICE.sd, f"by its price, ${price:g} per million tokens"
        )
    return None


def _measured(expert: Expert) -> Prior | None:
    """Return the mean over levels if most kinds of general questions were asked."""
    if len(expert.skills) < FEWEST_KINDS:
        return None
    from collegium.experts.questions import KINDS  # few experts need it

    levels = [level for kind, level in expert.skills.items() if kind in KINDS]
    if len(levels) < FEWEST_KINDS:
        return None
    mean = sum(levels) / len(levels)
    return Prior(mean, MEASURED_SD, f"by its answers to {len(levels)} kinds of general questions")


def day_one_rank(experts: Iterable[Expert]) -> list[Expert]:
    """The rank, best first. Embedded demonstration experts come after all registered ones."""
    return sorted(experts, key=_rank)


def cheapest(experts: Iterable[Expert]) -> list[Expert]:
    """Cheapest first, unknown prices last; among equals the better one on the first day."""
    return sorted(experts, key=lambda expert: (_price(expert), *_rank(expert)))


@cache
def published() -> tuple[Published, ...]:
    """The table's rows, their sources spelt out."""
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    sources = {key: f"{s['title']}, {s['date']}" for key, s in table["sources"].items()}
    return tuple(
        Published(
            tuple(row["names"]),
            row["score"],
            sources[row["source"]],
            row.get("parameters_b"),
            row.get("output_price"),
        )
        for row in table["models"]
    )


@cache
def _by_name() -> Mapping[str, Published]:
    """Rows by canonical name, the longest first: `gpt-4o-mini` before `gpt-4o`."""
    rows = {canonical(name): row for row in published() for name in row.names}
    return {name: rows[name] for name in sorted(rows, key=len, reverse=True)}


@cache
def _published(name: str) -> Published | None:
    return next((row for known, row in _by_name().items() if is_same_model(name, known)), None)


def _rank(expert: Expert) -> tuple[int, bool, float, float, float, str]:
    demonstration = _demonstration(expert)
    prior = prior_of(expert)
    value = UNKNOWN_MEAN if prior is None else prior.value
    size = expert.parameters_b or size_b(expert.model) or 0.0
    specialist = demonstration > 0 and not expert.generalist
    return demonstration, specialist, -value, -size, _price(expert), expert.name


def is_demonstration(expert: Expert) -> bool:
    """Whether an expert ships with the service, to show its machinery."""
    return expert.engine is not None and _demonstration(expert) == 2


def _demonstration(expert: Expert) -> int:
    """Return 0 for registered experts, 1 for their adapters on our small model, 2 for our own."""
    if not expert.embedded:
        return 0
    theirs = expert.kind == "lora" and not (expert.adapter or "").startswith(BUILTIN)
    return 1 if theirs else 2


def _price(expert: Expert) -> float:
    """Return dollars per million tokens of answers and prompts; infinite if unknown."""
    if expert.input_price is None or expert.output_price is None:
        return math.inf
    return INPUT_WEIGHT * expert.input_price + expert.output_price
