"""Marks by a judge: an expert that compares two answers, or grades one.

Judges prefer positions (Wang et al., "Large Language Models are not Fair Evaluators", arXiv
2305.17926), so pairs are shown in both orders. They err in other ways too: `error_rates.py`.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from collegium.experts.aggregation.quoting import DATA_RULE, quoted_texts
from collegium.experts.marking.base import text_of

Ask = Callable[[list[dict[str, Any]]], Awaitable[str]]
"""From messages to the text of the judge's answer."""
Winner = Literal["first", "second", "tie"]
MOST_CHARACTERS = 12_000
"""Of the conversation and of both answers, each: about 6,000 tokens in all."""
COMPARE = (
    "You compare two assistants' answers to the last user message of a conversation. What counts "
    "is whether an answer is correct, then whether it does what was asked; length and style do "
    "not. Long texts are cut at the same length, marked [cut here]: that is no fault of theirs. "
    "Reply with 1 if answer 1 is better, 2 if answer 2 is better, or tie if they are equally good "
    "or bad. Reply with nothing else."
)
GRADE = (
    "You grade an assistant's answer to the last user message of a conversation. What counts is "
    "whether it is correct, then whether it does what was asked; length and style do not. A long "
    "text is cut, marked [cut here]: that is no fault of its. Reply with a whole number from 0 "
    "(wrong or useless) to 10 (correct and complete), and nothing else."
)
WITH_REFERENCE = (
    "A correct answer is given as the reference: an answer that says the same is correct."
)
VERDICT = re.compile(r"\b(1|2|tie)\b", re.IGNORECASE)
GRADES = re.compile(r"(?<![\d.])(10|\d)(?:\.0)?(?:\s*/\s*10)?(?![\d.]*\d)")


@dataclass(frozen=True)
class Preference:
    """Which of two answers a judge prefers."""

    winner: Winner
    consistent: bool
    """Whether both orders gave the same winner; where they did not, it is a tie."""
    said: tuple[Winner | None, Winner | None]
    """What it said in each order; None where that was no verdict."""

    @property
    def mark(self) -> float | None:
        """What the first answer wins: 1, 0.5 or 0; None where the judge gave no verdict at all."""
        if self.said == (None, None):
            return None
        return {"first": 1.0, "tie": 0.5, "second": 0.0}[self.winner]


async def compare(
    ask: Ask,
    request: Mapping[str, Any],
    first: Mapping[str, Any],
    second: Mapping[str, Any],
    *,
    most_characters: int = MOST_CHARACTERS,
) -> Preference:
    """Ask a judge which of two answers is better, in both orders."""
    texts = [shown(first), shown(second)]
    forth, back = await asyncio.gather(
        ask(_pair(request, texts, most_characters)),
        ask(_pair(request, texts[::-1], most_characters)),
    )
    said = _verdict(forth, "first", "second"), _verdict(back, "second", "first")
    agreed = said[0] is not None and said[0] == said[1]
    return Preference(said[0] if agreed and said[0] else "tie", agreed, said)


async def grade(
    ask: Ask,
    request: Mapping[str, Any],
    answer: Mapping[str, Any],
    reference: Any = None,
    *,
    most_characters: int = MOST_CHARACTERS,
) -> float | None:
    """Ask a judge how good an answer is, from 0 to 1; None where it gives no grade."""
    rules = GRADE if reference is None else f"{GRADE} {WITH_REFERENCE}"
    parts = [_conversation(request, most_characters)]
    if reference is not None:
        told = reference if isinstance(reference, str) else json.dumps(reference, default=str)
        parts.append(quoted_texts("reference", [told], most_characters=most_characters // 2))
    parts.append(quoted_texts("answer", [shown(answer)], most_characters=most_characters // 2))
    found = GRADES.findall(await ask(_messages(rules, parts)))
    return int(found[-1]) / 10 if found else None


def shown(answer: Mapping[str, Any]) -> str:
    """An answer as a text, its tool calls included."""
    calls = answer.get("tool_calls")
    called = [c.get("function") for c in calls if isinstance(c, Mapping)] if calls else []
    lines = [text_of(answer), *(f"[calls the tool {json.dumps(c)}]" for c in called)]
    return "\n".join(line for line in lines if line) or "[no answer]"


def _pair(request: Mapping[str, Any], texts: list[str], most: int) -> list[dict[str, Any]]:
    answers = quoted_texts("answer", texts, most_characters=most)
    return _messages(COMPARE, [_conversation(request, most), answers])


def _conversation(request: Mapping[str, Any], most: int) -> str:
    """The conversation as one quotation; of a long one its instructions and its end."""
    messages = [m for m in request.get("messages", ()) if isinstance(m, Mapping)]
    lines = [f"{m.get('role', 'user')}: {shown(m)}" for m in messages]
    text = "\n\n".join(lines)
    if len(text) > most:
        start = most // 4
        text = f"{text[:start]}\n[cut here]\n{text[-(most - start) :]}"
    return quoted_texts("conversation", [text], most_characters=2 * most)


def _messages(rules: str, parts: list[str]) -> list[dict[str, Any]]:
    told = "\n\n".join([*parts, "Now do as you were told."])
    system = f"{rules}\n{DATA_RULE} So are the conversation and a reference."
    return [{"role": "system", "content": system}, {"role": "user", "content": told}]


def _verdict(text: str, one: Winner, two: Winner) -> Winner | None:
    """The verdict of the judge's answer; of one that gives reasons that of its last or first line.

    A line that names both answers ("1 is better than 2") is no verdict.
    """
    lines = text.strip().splitlines() or [""]
    named: dict[str, Winner] = {"1": one, "2": two, "tie": "tie"}
    for line in (lines[-1], lines[0]):
        found = {word.lower() for word in VERDICT.findall(line)}
        if len(found) == 1:
            return named[found.pop()]
    return None
