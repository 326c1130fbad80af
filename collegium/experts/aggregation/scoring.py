"""Score several answers: by their own tokens, by their authors, or by a judge."""

from __future__ import annotations

import math
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Protocol

from collegium.experts.aggregation.base import (
    Ask,
    Member,
    MemberAnswer,
    Panel,
    is_logprob,
    told_tokens,
)
from collegium.experts.aggregation.events import Event
from collegium.experts.aggregation.fan_out import FanOut
from collegium.experts.aggregation.quoting import Quoted, asked_about, quoted
from collegium.experts.aggregation.seating import room
from collegium.experts.clients.reply import Call

CHECK = (
    "Another assistant's answer to the user's last message follows. Say whether it is right and "
    "complete, with one word: yes or no."
)
PICK = (
    "Several assistants have answered the user's last message. Reply with the number of the best "
    "answer and nothing else."
)


class Scorer(Protocol):
    """Fills `scores` by seat; answers that it can't score stay out."""

    how: str
    logprobs: bool
    """Whether members have to tell their tokens' log-probabilities."""

    def run(
        self, panel: Panel, body: Mapping[str, Any], ask: Ask, found: Answers
    ) -> AsyncGenerator[Event]:
        """Score `found.replies`; yields the events of the calls that this takes."""


class Answers:
    """The answers to score, their scores by seat, and the next free seat for a scorer's calls."""

    def __init__(self, replies: Sequence[MemberAnswer], free_seat: int) -> None:
        self.replies = replies
        self.free_seat = free_seat
        self.scores: dict[int, float] = {}


class ByLogprob:
    """The geometric mean of the tokens' probabilities: how sure the author was while writing."""

    how = "the surest by its tokens"
    logprobs = True

    async def run(
        self, panel: Panel, body: Mapping[str, Any], ask: Ask, found: Answers
    ) -> AsyncGenerator[Event]:
        """Need no call."""
        for reply in found.replies:
            if reply.logprob is not None:
                found.scores[reply.seat] = math.exp(reply.logprob)
        return
        yield  # an async generator all the same


class BySelf:
    """Ask each author whether its own answer is correct; the probability of "yes" is the score.

    Kadavath et al., "Language Models (Mostly) Know What They Know", arXiv 2207.05221.
    """

    how = "the surest by its author's own check"
    logprobs = False

    async def run(
        self, panel: Panel, body: Mapping[str, Any], ask: Ask, found: Answers
    ) -> AsyncGenerator[Event]:
        """Score with one short call per answer."""
        checks = {found.free_seat + i: reply for i, reply in enumerate(found.replies)}
        calls = [(self._call(seat, r, panel, body), r.member) for seat, r in checks.items()]
        fan = FanOut(ask, replace(panel, quorum=0))
        async with aclosing(fan.events(calls)) as events:
            async for event in events:
                yield event
        found.free_seat += len(calls)
        for said in fan.replies:
            found.scores[checks[said.seat].seat] = yes(said)

    def _call(self, seat: int, reply: MemberAnswer, panel: Panel, body: Mapping[str, Any]) -> Call:
        shown = quoted([reply], seed=panel.seed, most_characters=room(reply.member))
        asked = asked_about(body, CHECK, shown.text, max_tokens=3)
        asked |= {"temperature": 0, "logprobs": True, "top_logprobs": 5}
        return Call(reply.member.expert, asked, "verifier", seat, stream=True)


class ByJudge:
    """The aggregator picks the best, then again with the order turned round.

    Judges prefer positions (Wang et al., "Large Language Models are not Fair Evaluators", arXiv
    2305.17926); a score is the share of the rounds that the answer won.
    """

    how = "picked by the judge"
    logprobs = False

    def __init__(self, rounds: int = 2) -> None:
        self._rounds = rounds

    async def run(
        self, panel: Panel, body: Mapping[str, Any], ask: Ask, found: Answers
    ) -> AsyncGenerator[Event]:
        """Score with one short call per round."""
        judge = panel.aggregator or panel.members[0]
        shown = {
            found.free_seat + i: quoted(
                found.replies,
                seed=panel.seed + i // 2,
                most_characters=room(judge),
                backwards=i % 2 == 1,
            )
            for i in range(self._rounds)
        }
        calls = [(self._call(seat, judge, body, q), judge) for seat, q in shown.items()]
        fan = FanOut(ask, replace(panel, quorum=0))
        async with aclosing(fan.events(calls)) as events:
            async for event in events:
                yield event
        found.free_seat += len(calls)
        picks = [pick for said in fan.replies if (pick := picked(said, shown[said.seat]))]
        for reply in found.replies if picks else ():
            found.scores[reply.seat] = sum(p.seat == reply.seat for p in picks) / len(picks)

    def _call(self, seat: int, judge: Member, body: Mapping[str, Any], shown: Quoted) -> Call:
        asked = asked_about(body, PICK, shown.text, max_tokens=8) | {"temperature": 0}
        return Call(judge.expert, asked, "judge", seat, stream=True)


def yes(said: MemberAnswer) -> float:
    """Return the probability of "yes" against "no" in the first token, or the word itself if it is
    unknown.
    """
    first = told_tokens(said.logprobs)[:1]
    chances = {"yes": 0.0, "no": 0.0}
    for top in told_tokens({"content": first[0].get("top_logprobs")}) if first else ():
        word = str(top.get("token", "")).strip().casefold().strip(".,!")
        if word in chances and is_logprob(top.get("logprob")):
            chances[word] += math.exp(top["logprob"])
    if total := sum(chances.values()):
        return chances["yes"] / total
    return float(said.text.strip().casefold().startswith("yes"))


def picked(said: MemberAnswer, shown: Quoted) -> MemberAnswer | None:
    """Return the answer whose number the judge named; None if it named none."""
    number = re.search(r"\d+", said.text)
    if number is None or not 1 <= int(number.group()) <= len(shown.order):
        return None
    return shown.order[int(number.group()) - 1]
