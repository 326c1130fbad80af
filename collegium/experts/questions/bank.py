"""The bank of general questions: any number of each kind and level, by number."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from random import Random

from collegium.errors import BadRequest
from collegium.experts.questions.base import LEVELS, Generator, Question, numbered

EDITION = 1
"""Changes when questions change: marks of another edition are not compared."""
_PACKAGE = "collegium.experts.questions.kinds"
KINDS: Mapping[str, str] = {
    "arithmetic": "sums, products, percentages and word problems",
    "algebra": "equations, systems, polynomials, congruences",
    "logic": "orders, conditions, who tells the truth",
    "reading": "questions on a text, with one step or several",
    "facts": "capitals, elements, history, science",
    "sql": "a SQLite query for given tables",
    "json": "a text's facts as JSON of a given form",
    "tools": "which tools to call, with which arguments",
    "instructions": "answers of a prescribed form",
    "labels": "classification of messages, by meaning and by rules",
    "code": "what a Python function returns",
    "languages": "words, numbers, sentences in German, French and Spanish",
    "conversion": "dates, times and units",
    "retrieval": "a detail in a long text",
    "aggregation": "the right answer among several assistants' answers",
}
"""The kinds and what they ask. Skills of the bundled router are kinds here."""


def question(kind: str, level: int, number: int) -> Question:
    """Return one question of the bank."""
    if kind not in KINDS or level not in LEVELS:
        raise BadRequest(
            f"there is no kind '{kind}' of level {level}; kinds: {', '.join(KINDS)}; levels: 1 to 3"
        )
    generator: Generator = import_module(f"{_PACKAGE}.{kind}").draw
    random = Random(f"{EDITION}/{kind}/{level}/{number}")
    return numbered(kind, level, number, generator(random, level))
