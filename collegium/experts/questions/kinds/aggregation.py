"""The correct answer among several assistants' answers: the skill of a panel's aggregator.

Symbolic-MoE (arXiv 2503.05641) chooses its aggregator so: an expert that answers well need not be
one that judges well.
"""

from __future__ import annotations

from random import Random
from typing import Any

from collegium.experts.aggregation.base import Member, MemberAnswer
from collegium.experts.aggregation.quoting import asked_about, quoted
from collegium.experts.aggregation.synthesis import COMBINE
from collegium.experts.questions.base import Draft, Generator
from collegium.experts.questions.kinds import algebra, arithmetic, conversion
from collegium.registry.expert import Expert

SOURCES: tuple[Generator, ...] = (arithmetic.draw, algebra.draw, conversion.draw)
WRONG = 2
ROOM = 3000
"""Characters of quoted answers: they are short."""


def draw(random: Random, level: int) -> Draft:
    """A question with a number for an answer, that answer, and two wrong ones beside it."""
    asked = _numeric(random, level)
    value = _value(asked)
    wrong: list[float] = []
    while len(wrong) < WRONG:
        near = value + random.choice((-10, -2, -1, 1, 2, 10))
        if near not in (value, *wrong):
            wrong.append(near)
    texts = [f"{number:g}" if number < 1e5 else f"{number:.0f}" for number in (value, *wrong)]
    nobody = Member(Expert("member", "openai", "member"))
    replies = [MemberAnswer(i, nobody, {"content": text}) for i, text in enumerate(texts)]
    shown = quoted(replies, seed=random.randrange(1000), most_characters=ROOM)
    body = {"messages": [{"role": "user", "content": asked.text}]}
    messages = asked_about(body, COMBINE, shown.text)["messages"]
    text = "\n\n".join(message["content"] for message in messages)
    return Draft(text, asked.reference, asked.checker, asked.options)


def _numeric(random: Random, level: int) -> Draft:
    while True:
        asked = random.choice(SOURCES)(random, level)
        if asked.checker == "number":
            return asked


def _value(asked: Draft) -> float:
    reference: Any = asked.reference
    value = float(reference["value"] if isinstance(reference, dict) else reference)
    return round(value, 1) if value % 1 else value
