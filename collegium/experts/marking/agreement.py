"""Marks by agreement: an answer that reliable and independent experts share is probably right.

Reliabilities come from the answers themselves, by the EM algorithm of Dawid and Skene ("Maximum
likelihood estimation of observer error-rates using the EM algorithm", 1979) with one number an
expert. What all experts get wrong in the same way looks right to it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Self

from collegium.experts.aggregation.base import Similarity
from collegium.experts.aggregation.grouping import ALTERNATIVES, log_odds
from collegium.experts.aggregation.keys import SHORT, key_of
from collegium.experts.marking.base import text_of

Answers = Mapping[str, Mapping[str, Any]]
"""The messages of several experts to one prompt, by the expert's name."""
ROUNDS = 20
AT_FIRST = 0.7
"""The initial reliability of every expert; agreement has to count in favour of an answer."""
PSEUDO_MARKS = 2.0
CORRELATION = 0.5
"""Correlation of errors within a family: n agreeing members count as n / (1 + (n - 1) / 2)."""


class Agreement:
    """Scores answers by who agrees; `families` names experts of one family, by the expert.

    Numbers, options, JSON, tool calls, SQL and short texts agree exactly, once they are
    normalised. Longer texts agree by `similarity`, or else by the words that they share.
    """

    def __init__(
        self,
        families: Mapping[str, str] | None = None,
        similarity: Similarity | None = None,
        rounds: int = ROUNDS,
    ) -> None:
        self.families = families or {}
        self.similarity = similarity
        self.rounds = rounds
        self.reliability_: dict[str, float] = {}
        """Each expert's estimated probability of a correct answer."""

    def fit(self, prompts: Sequence[Answers]) -> Self:
        """Estimate the reliabilities from the answers to many prompts."""
        prepared = [_Prepared(answers, self.similarity) for answers in prompts]
        self.reliability_ = {}
        for _ in range(self.rounds):
            told: dict[str, list[float]] = {}
            for each in prepared:
                for expert, score in self._scores(each).items():
                    told.setdefault(expert, []).append(score)
            self.reliability_ = {expert: _shrunk(scores) for expert, scores in told.items()}
        return self

    def marks(self, answers: Answers) -> dict[str, float | None]:
        """Return the score of each answer, 0 to 1; None for all if only one expert answered."""
        found = self._scores(_Prepared(answers, self.similarity))
        return {expert: found.get(expert) for expert in answers}

    def _scores(self, prepared: _Prepared) -> dict[str, float]:
        if len(prepared.names) < 2:
            return {}
        return self._by_text(prepared) if prepared.alike else self._by_key(prepared)

    def _by_key(self, prepared: _Prepared) -> dict[str, float]:
        """The posterior of each expert's answer, given who gave which."""
        votes: dict[Any, float] = {}
        for key in set(prepared.keys):
            voters = [n for n, k in zip(prepared.names, prepared.keys, strict=True) if k == key]
            shares = self._shares(voters)
            votes[key] = sum(shares[n] * log_odds(self._reliability(n)) for n in voters)
        most = max(0.0, *votes.values())
        likely = {key: math.exp(vote - most) for key, vote in votes.items()}
        unseen = max(ALTERNATIVES - len(votes), 1) * math.exp(-most)
        total = sum(likely.values()) + unseen
        pairs = zip(prepared.names, prepared.keys, strict=True)
        return {name: likely[key] / total for name, key in pairs}

    def _by_text(self, prepared: _Prepared) -> dict[str, float]:
        """The mean likeness to the others' answers, weighted by their reliability."""
        names, shares = prepared.names, self._shares(prepared.names)
        weights = [shares[name] * self._reliability(name) for name in names]
        scores = {}
        for i, name in enumerate(names):
            others = [j for j in range(len(names)) if j != i]
            total = sum(weights[j] for j in others)
            likeness = sum(weights[j] * prepared.alike[i][j] for j in others)
            scores[name] = min(max(likeness / total, 0.0), 1.0)
        return scores

    def _shares(self, names: Sequence[str]) -> dict[str, float]:
        """Return the weight of each vote, reduced if others of its family agree."""
        sizes = Counter(self.families.get(name, name) for name in names)
        return {
            name: 1 / (1 + (sizes[self.families.get(name, name)] - 1) * CORRELATION)
            for name in names
        }

    def _reliability(self, name: str) -> float:
        return self.reliability_.get(name, AT_FIRST)


class _Prepared:
    """The answers to one prompt, normalised once for all rounds; empty answers say nothing."""

    def __init__(self, answers: Answers, similarity: Similarity | None) -> None:
        said = {n: a for n, a in answers.items() if text_of(a) or a.get("tool_calls")}
        self.names = list(said)
        self.keys = [key_of(answer) for answer in said.values()]
        self.alike: Sequence[Sequence[float]] = ()
        """Similarities of long texts, shape (n, n); empty if the answers are compared by key."""
        if any(key.kind == "text" and len(key.value) > SHORT for key in self.keys):
            texts = [text_of(answer) for answer in said.values()]
            self.alike = (similarity or shared_words)(texts)


def shared_words(texts: Sequence[str]) -> list[list[float]]:
    """F1 of the words that two texts have in common, shape (n, n)."""
    counted = [Counter(text.casefold().split()) for text in texts]
    return [[_f1(a, b) for b in counted] for a in counted]


def _f1(a: Counter[str], b: Counter[str]) -> float:
    total = a.total() + b.total()
    return 2 * (a & b).total() / total if total else 1.0


def _shrunk(scores: Sequence[float]) -> float:
    """The mean, held off 0 and 1 by a few marks of `AT_FIRST`."""
    return (sum(scores) + PSEUDO_MARKS * AT_FIRST) / (len(scores) + PSEUDO_MARKS)
