"""All modes by name, for people and for the planner."""

from __future__ import annotations

from dataclasses import dataclass

from collegium.experts.aggregation.base import Mode
from collegium.experts.aggregation.options import ModeName, Options


@dataclass(frozen=True)
class Described:
    """A mode for people, and what it needs."""

    text: str
    seats: int = 3
    """Members unless the caller says otherwise."""
    one_expert: bool = False
    """Whether the members are samples of one expert."""
    combines: bool = False
    """Whether another call, the aggregator's, writes the answer."""


MODES: dict[ModeName, Described] = {
    "single": Described("One expert answers alone", seats=1),
    "first": Described("Several experts race; the fastest answers", seats=2),
    "vote": Described("Several experts vote with their answers"),
    "best_of_n": Described("Several answers, the best of which is given"),
    "moa": Described(
        "Several experts answer, an aggregator writes the answer from theirs", combines=True
    ),
    "self_moa": Described(
        "Several samples of the best expert, put together by itself",
        one_expert=True,
        combines=True,
    ),
    "cascade": Described("Cheap experts first, dearer ones only in doubt"),
    "nominal_group": Described(
        "Experts answer apart; agreed, disputed and single points are weighed", combines=True
    ),
    "diverse_prompts": Described(
        "The best expert, asked in several ways, votes with itself", one_expert=True
    ),
}


def make_mode(name: ModeName, options: Options) -> Mode:
    """A mode as a request wants it. Their code is loaded when the first panel is asked."""
    from collegium.experts.aggregation.making import MAKERS

    return MAKERS[name](options)
