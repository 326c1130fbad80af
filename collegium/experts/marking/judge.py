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
from typing import Any, Literal, Protocol

from collegium.experts.aggregation.quoting import DATA_RULE, quoted_texts
from collegium.experts.marking.base import text_of

Ask = Callable[[list[dict[str, Any]]], Awaitable[str]]
"""Maps messages to the text of the judge's answer."""
Winner = Literal["first", "second", "tie"]
MOST_CHARACTERS = 12_000
"""Characters of the conversation and of each answer: about 6,000 tokens in all."""
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


class Verdict(Protocol):
    """Asks a judge for the mark of an answer."""

    async def __call__(
        self,
        ask: Ask,
        request: Mapping[str, Any],
        answer: Mapping[str, Any],
        *,
        usual: Mapping[str, Any] | None,
        reference: Any,
    ) -> float | None:
        """Return a mark from 0 (wrong) to 1 (correct); None if the judge gave no verdict.

        `usual` is the incumbent's answer to the same request, None if it gave none.
        """


@dataclass(frozen=True)
class JudgeMethod:
    """A way to use a judge, registered as an entry point `judge.NAME`."""

    verdict: Verdict
    compares: bool
    """Whether an answer is compared with the incumbent's, which so is worth 0.5 without asking."""


@dataclass(frozen=True)
class Preference:
    """A judge's preference between two answers."""

    winner: Winner
    consistent: bool
    """Whether both orders gave the same winner; otherwise it is a tie."""
    said: tuple[Winner | None, Winner | None]
    """The verdict in each order; None if there was none."""

    @property
    def mark(self) -> float | None:
        """The first answer's mark: 1, 0.5 or 0; None without any verdict."""
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
    """Ask a judge to grade an answer from 0 to 1; None if it gives no grade."""
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


async def _pairwise(
    ask: Ask,
    request: Mapping[str, Any],
    answer: Mapping[str, Any],
    *,
    usual: Mapping[str, Any] | None,
    reference: Any,
) -> float | None:
    """Return 1 if the answer is better than the incumbent's, 0 if it is worse, 0.5 for a tie."""
    return None if usual is None else (await compare(ask, request, answer, usual)).mark


async def _graded(
    ask: Ask,
    request: Mapping[str, Any],
    answer: Mapping[str, Any],
    *,
    usual: Mapping[str, Any] | None,
    reference: Any,
) -> float | None:
    """Return the judge's grade, given the reference if there is one."""
    return await grade(ask, request, answer, reference)


PAIRWISE = JudgeMethod(_pairwise, compares=True)
GRADED = JudgeMethod(_graded, compares=False)
