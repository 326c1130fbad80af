"""Checks the letter that an answer chooses in a multiple-choice question."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from collegium.experts.marking.base import accepted, stated, text_of
from collegium.experts.marking.texts import normal

WHOLE = re.compile(r"[\s*_`\"'$(\[]*([A-Za-z])[\s*_`\"'$)\].:!,]*")
LEADING = re.compile(r"[\s*_`$(\[]*([A-Z])(?:[)\].:*`$]+(?:\s|$)|\s+[-–—]\s|\s*\n)")  # noqa: RUF001
NAMED = re.compile(r"\b(?:answer|option|choice)\b(?:\s+is\b|\s*:)?[\s*_`$(\[]*([A-Z])\b(?!')")
BEGINNING = re.compile(r"^[\s*_`(\[]*([A-Z])[).\]]", re.MULTILINE)
BRACKETED = re.compile(r"\(([A-Z])\)")
SEVERAL = re.compile(r"\b[A-Z]\)?\s*(?:,|or|and|/|&)\s*\(?[A-Z]\b")


@dataclass(frozen=True)
class Option:
    """Compares the chosen letter with the reference, such as "B" or {"letter": "B", "text": …}.

    With the option's text, an answer that is that text counts as its letter.
    """

    def mark(
        self, request: Mapping[str, Any], answer: Mapping[str, Any], reference: Any
    ) -> float | None:
        """Return 1 or 0; None without a reference; choosing no or several letters is 0."""
        right = [_known(each) for each in accepted(reference)]
        letters = {letter for letter, _ in right if letter}
        if not letters:
            return None
        text = text_of(answer)
        if (said := letter_of(text)) is not None:
            return float(said in letters)
        words = {normal(text), normal(stated(text) or "")} - {""}
        return float(bool(words & {normal(text) for _, text in right}))


def letter_of(text: str) -> str | None:
    """Return the letter that a text chooses; None if it names none or several."""
    point = stated(text) or text
    if match := WHOLE.fullmatch(point):
        return match.group(1).upper()
    if SEVERAL.search(point):
        return None
    if found := NAMED.findall(text):
        return str(found[-1])
    if len(set(BEGINNING.findall(text))) > 1:  # it repeats the options
        return None
    if match := LEADING.match(point):
        return match.group(1)
    if found := BRACKETED.findall(text):
        return str(found[-1])
    last = text.rstrip().rpartition("\n")[2]
    match = LEADING.match(last) or WHOLE.fullmatch(last)
    return None if match is None else match.group(1).upper()


def _known(reference: Any) -> tuple[str | None, str]:
    """Letter and text of an option."""
    if isinstance(reference, Mapping):
        letter, text = reference.get("letter"), str(reference.get("text") or "")
    else:
        letter, text = reference, ""
    match = WHOLE.fullmatch(letter) if isinstance(letter, str) else None
    return (None if match is None else match.group(1).upper()), text
