"""What a panel is expected to achieve and to take, before anybody is asked."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from collegium.experts.aggregation.base import Member
from collegium.experts.aggregation.grouping import ALTERNATIVES, Ballots

MOST_VOTERS = 4  # each further one takes four times as long


def vote_quality(members: Sequence[Member], ballots: Ballots) -> float | None:
    """P(the vote is right) of independent voters whose wrong answers scatter; None if unknown.

    All outcomes are counted out: answer 0 is right, the others are equally likely errors.
    """
    voters = [m for m in members if m.forecast is not None][:MOST_VOTERS]
    if not voters:
        return None
    weights = [ballots.weight(voter) for voter in voters]
    total = 0.0
    for answers in itertools.product(range(ALTERNATIVES), repeat=len(voters)):
        chance, held = 1.0, [0.0] * ALTERNATIVES
        for voter, answer, weight in zip(voters, answers, weights, strict=True):
            p = voter.forecast or 0.0
            chance *= p if answer == 0 else (1 - p) / (ALTERNATIVES - 1)
            held[answer] += weight
        if held[0] > max(held[1:]) or _first_is_right(answers, held):
            total += chance
    return total


def _first_is_right(answers: Sequence[int], held: Sequence[float]) -> bool:
    """Ties go to the answer of the first voter among them."""
    most = max(held)
    leaders = [answer for answer in answers if held[answer] == most]
    return leaders[0] == 0
