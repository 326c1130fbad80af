"""Checks whether an answer is one of the accepted texts, ignoring its form."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from collegium.experts.marking.base import accepted, fenced, stated, text_of

ARTICLES = re.compile(r"\b(?:a|an|the)\b")
FORM = " \t\r\n\"'`*_.,;:!?()[]{}<>«»“”„\u2018\u2019"


@dataclass(frozen=True)
class Reference:
    """Compares an answer, or the answer that it states, with one or several texts.

    Letter case, blanks, articles and enclosing punctuation don't count. `contains` also accepts a
    longer answer that has an accepted text in it, as whole words, but none of the `rivals`.
    """

    contains: bool = False
    rivals: Sequence[str] = ()

    def mark(
        self, request: Mapping[str, Any], answer: Mapping[str, Any], reference: Any
    ) -> float | None:
        """Return 1 or 0; None without a reference."""
        wanted = {normal(str(text)) for text in accepted(reference)} - {""}
        if not wanted:
            return None
        text = text_of(answer)
        said = {normal(t) for t in (text, stated(text) or "", *fenced(text))}
        if said & wanted:
            return 1.0
        if not self.contains:
            return 0.0
        rivals = {normal(rival) for rival in self.rivals} - wanted
        return float(any(_has(s, wanted) and not _has(s, rivals) for s in said))


def _has(text: str, phrases: Iterable[str]) -> bool:
    """Whether any of the phrases is in a text, as whole words."""
    return any(f" {phrase} " in f" {text} " for phrase in phrases)


def normal(text: str) -> str:
    """A text without what is only form."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    words = (word.strip(FORM) for word in ARTICLES.sub(" ", plain).split())
    return " ".join(word for word in words if word)
