"""Marks a text by whether it is one of the accepted answers, whatever its form."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from collegium.experts.marking.base import accepted, fenced, stated, text_of

ARTICLES = re.compile(r"\b(?:a|an|the)\b")
FORM = " \t\r\n\"'`*_.,;:!?()[]{}<>«»“”„\u2018\u2019"


@dataclass(frozen=True)
class Reference:
    """Compares an answer, or what it states as its answer, with a text or a list of texts.

    Letter case, blanks, articles and enclosing punctuation don't count. `contains` also accepts a
    longer answer that has an accepted text in it, as whole words.
    """

    contains: bool = False

    def mark(
        self, request: Mapping[str, Any], answer: Mapping[str, Any], reference: Any
    ) -> float | None:
        """1 or 0; None without a reference."""
        wanted = {normal(str(text)) for text in accepted(reference)} - {""}
        if not wanted:
            return None
        text = text_of(answer)
        said = {normal(t) for t in (text, stated(text) or "", *fenced(text))}
        if said & wanted:
            return 1.0
        return float(self.contains and any(f" {w} " in f" {s} " for w in wanted for s in said))


def normal(text: str) -> str:
    """A text without what is only form."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    words = (word.strip(FORM) for word in ARTICLES.sub(" ", plain).split())
    return " ".join(word for word in words if word)
