"""A question: a request, how its answers are marked, its kind and its level."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from collegium.experts.marking import checker_of

LEVELS = (1, 2, 3)


@dataclass(frozen=True)
class Question:
    """One question that a program can mark."""

    id: str
    kind: str
    level: int
    request: Mapping[str, Any]
    """The body of a chat request without a model: messages, and tools if there are any."""
    checker: str
    reference: Any
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the checker."""

    def mark(self, answer: Mapping[str, Any]) -> float | None:
        """The checker's mark of an assistant's message."""
        made = checker_of(self.checker, **self.options)
        return made.mark(self.request, answer, self.reference)


@dataclass(frozen=True)
class Draft:
    """A question as a generator makes it, before it is numbered."""

    text: str
    reference: Any
    checker: str = "number"
    options: Mapping[str, Any] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of the request, such as tools."""


Generator = Callable[[Random, int], Draft]
"""Draws a question from a random number generator and a level, 1 to 3."""
NUMBER_ONLY = "Reply with the number only."
LETTERS = "ABCDEFGH"


def words(text: str) -> tuple[str, ...]:
    """List words that are separated by blanks."""
    return tuple(text.split())


def numbered(kind: str, level: int, number: int, draft: Draft) -> Question:
    """The question with its identity; the same number is the same question everywhere."""
    request = {"messages": [{"role": "user", "content": draft.text}], **draft.more}
    name = f"{kind}-{level}-{number}"
    return Question(name, kind, level, request, draft.checker, draft.reference, draft.options)


def choice(random: Random, text: str, right: str, wrong: Sequence[str]) -> Draft:
    """A multiple-choice question with its options in a drawn order."""
    options = [right, *dict.fromkeys(w for w in wrong if w != right)]
    random.shuffle(options)
    lines = [f"{letter}) {option}" for letter, option in zip(LETTERS, options, strict=False)]
    letter = LETTERS[options.index(right)]
    shown = "\n".join([text, "", *lines, "", "Reply with the letter of the right option only."])
    return Draft(shown, {"letter": letter, "text": right}, "option")


def short(text: str, *right: str, rivals: Sequence[str] = ()) -> Draft:
    """A question whose answer is a word or two; who names a rival as well has not answered."""
    options: dict[str, Any] = {"contains": True}
    return Draft(text, list(right), "reference", options | ({"rivals": rivals} if rivals else {}))
