"""Group equivalent answers, weigh the groups, and estimate the confidence of the first one.

Weights are those of the optimal weighted majority of independent voters, generalised from two
answers to m: log((m - 1) p / (1 - p)) (Nitzan and Paroush, "Optimal decision rules in uncertain
dichotomous choice situations", 1982), with p the calibrated forecast of each voter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from collegium.experts.aggregation.base import Member, MemberAnswer, Similarity
from collegium.experts.aggregation.events import Group
from collegium.experts.aggregation.keys import Key, key_of
from collegium.experts.aggregation.options import Weighting

ALTERNATIVES = 4
"""The assumed number of possible answers, as is usual for multiple choice."""
SURE = 0.99
SAME = 0.85
"""Texts whose cosine similarity reaches this say the same (MiniLM)."""


@dataclass(frozen=True)
class Ballots:
    """Votes, and how they are counted."""

    weighting: Weighting = "log_odds"
    similarity: Similarity | None = None
    same: float = SAME

    def weight(self, member: Member) -> float:
        """A voter's weight; no vote counts against its answer, and unknown voters count alike."""
        if self.weighting == "equal" or member.forecast is None:
            return 1.0
        if self.weighting == "forecast":
            return max(member.forecast, 0.01)
        return max(log_odds(member.forecast), 0.01)

    def count(self, replies: Sequence[MemberAnswer]) -> tuple[Group, ...]:
        """The groups, heaviest first; ties go to the group with the first seat."""
        merged = [_Bag([r], key_of(r.message)) for r in sorted(replies, key=lambda r: r.seat)]
        bags = _by_key(merged)
        if self.similarity is not None:
            bags = _by_meaning(bags, self.similarity, self.same)
        groups = [self._group(bag) for bag in bags]
        return tuple(sorted(groups, key=lambda g: (-g.weight, g.seats[0])))

    def decided(self, replies: Sequence[MemberAnswer], waiting: Mapping[int, Member]) -> bool:
        """Whether no outstanding answer can change the winner or its speaker.

        The speaker is the first seat of the winning group, so whoever sits before it must be in.
        Free texts may merge with whatever comes; they are never decided early.
        """
        groups = replace(self, similarity=None).count(replies)
        if not groups:
            return False
        keys = {r.seat: key_of(r.message) for r in replies}
        leader, *rivals = groups
        speaker = leader.seats[0]
        if keys[speaker].kind == "text" or min(waiting, default=speaker) < speaker:
            return False
        texts = sum(g.weight for g in rivals if keys[g.seats[0]].kind == "text")
        exact = [g.weight for g in rivals if keys[g.seats[0]].kind != "text"]
        to_come = sum(self.weight(member) for member in waiting.values())
        return leader.weight > max([texts, *exact]) + to_come

    def _group(self, bag: _Bag) -> Group:
        weight = sum(self.weight(reply.member) for reply in bag.replies)
        shown = bag.replies[0].text.strip() if bag.key.kind == "text" else bag.key.value
        return Group(shown, tuple(r.seat for r in bag.replies), weight)


@dataclass(frozen=True)
class _Bag:
    replies: list[MemberAnswer]
    key: Key


def log_odds(p: float) -> float:
    """The weight of a voter that is right with probability p, among `ALTERNATIVES` answers."""
    bounded = min(max(p, 1 - SURE), SURE)
    return math.log((ALTERNATIVES - 1) * bounded / (1 - bounded))


def posterior(groups: Sequence[Group]) -> float:
    """The chance that the first group is right, given its log-odds weights and independence.

    Of one answer this is the answerer's own forecast again.
    """
    if not groups:
        return 0.0
    unseen = max(ALTERNATIVES - len(groups), 0)
    total = sum(math.exp(min(g.weight, 700.0)) for g in groups) + unseen
    return math.exp(min(groups[0].weight, 700.0)) / total


def _by_key(bags: Sequence[_Bag]) -> list[_Bag]:
    found: dict[Key, _Bag] = {}
    for bag in bags:
        found.setdefault(bag.key, _Bag([], bag.key)).replies.extend(bag.replies)
    return list(found.values())


def _by_meaning(bags: list[_Bag], similarity: Similarity, same: float) -> list[_Bag]:
    """Join free texts whose similarity is at least `same`, transitively.

    Connected components do not depend on the order in which the texts came.
    """
    free = [i for i, bag in enumerate(bags) if bag.key.kind == "text" and bag.key.value]
    if len(free) < 2:
        return bags
    table = similarity([bags[i].replies[0].text for i in free])
    home = {i: i for i in free}
    for a, i in enumerate(free):
        for b, j in enumerate(free[:a]):
            if table[a][b] >= same and home[i] != home[j]:
                low, high = sorted((home[i], home[j]))
                home = {k: low if h == high else h for k, h in home.items()}
    joined: dict[int, _Bag] = {}
    for i, bag in enumerate(bags):
        into = joined.setdefault(home.get(i, i), _Bag([], bag.key))
        into.replies.extend(bag.replies)
    for bag in joined.values():
        bag.replies.sort(key=lambda reply: reply.seat)
    return list(joined.values())
