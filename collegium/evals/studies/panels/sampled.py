"""The alternative to a panel at equal cost: samples of one expert with a vote, or the most
confident one.

Self-consistency (Wang et al., arXiv 2203.11171) and best-of-n by the tokens' own probabilities: the
baselines that any panel has to beat, since they need no second expert.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from collegium.evals.core.arrays import Floats, Ints
from collegium.experts.aggregation.base import Member, MemberAnswer
from collegium.experts.aggregation.grouping import Ballots
from collegium.experts.questions.endpoint import Answer
from collegium.registry.expert import Expert

FEWEST = 2


@dataclass(frozen=True)
class Way:
    """One way to answer: marks in [0, 1] and tokens of all calls, each (prompts,)."""

    name: str
    kind: str
    scores: Floats
    tokens: Floats


def sampled(
    name: str, kind: str, scores: Floats, tokens: Floats, answers: Sequence[Sequence[Answer]]
) -> list[Way]:
    """The vote and the surest of the first n samples, for n from two on.

    `scores` and `tokens` are (prompts, samples), `answers` the samples' words in the same order.
    """
    rows = np.arange(len(scores))
    ways = []
    for n in range(FEWEST, scores.shape[1] + 1):
        taken = tokens[:, :n].sum(axis=1)
        voted = np.array([_voted(told[:n]) for told in answers], dtype=np.int64)
        surest = np.array([_surest(told[:n]) for told in answers], dtype=np.int64)
        for how, picks in (("vote", voted), ("surest", surest)):
            ways.append(Way(f"{name}, {how} of {n} samples", kind, _at(scores, rows, picks), taken))
    return ways


def _at(scores: Floats, rows: Ints, picks: Ints) -> Floats:
    found: Floats = scores[rows, picks]
    return found


def _voted(told: Sequence[Answer]) -> int:
    """The seat that speaks for most; exact forms only, no encoder: as votes on short answers."""
    nobody = Member(Expert("sample", "openai", "sample"))
    replies = [MemberAnswer(seat, nobody, {"content": each.text}) for seat, each in enumerate(told)]
    return Ballots("equal").count(replies)[0].seats[0]


def _surest(told: Sequence[Answer]) -> int:
    """Return the answer with the highest mean log-probability; the first if unknown."""
    sure = [-np.inf if each.logprob is None else each.logprob for each in told]
    return int(np.argmax(sure))
