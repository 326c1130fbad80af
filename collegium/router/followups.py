"""Recognise messages that depend on the previous one: "and backwards?", "¿y en invierno?"

Words of closed classes tell: answers, conjunctions at the beginning, pronouns, requests to change
an answer (`followups.toml`, about 20 languages). A message without any of them speaks for itself,
in any language: to read it with an older question would send it to that question's expert.

Of conversations that no rule had seen (13 languages, tests/router/talks.toml) the rules found 35 of
72 follow-ups, and took 1 of 70 new questions for one; 71 and 0 after the phrases that were missing
had been added. A sentence encoder's vectors tell less: by the cosine of a message and
both together, the best measure, a follow-up ranks above a new question in 66 % of pairs (87 % in
English), for MiniLM reads English only.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache, lru_cache
from importlib.resources import files

MOST_CHARACTERS, MOST_WORDS = 200, 12
"""A longer message speaks for itself."""
MOST_WORDS_WITH_A_PRONOUN = 8
"""In longer messages, a pronoun mostly refers to something in the message itself."""
MOST_OF_A_CORRECTION = 400
"""Characters of a message that may say that an answer was wrong."""
_SCRIPTS = {
    re.compile(r"[\u3400-\u9fff]"): 1.7,
    re.compile(r"[\u3040-\u30ff]"): 2.0,
    re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]"): 4.5,
}
"""Characters a word in scripts without blanks between words: Han, kana, Thai and its neighbours."""
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]+")
_OWN_CONTENT = re.compile(
    r"\n|```|[:\uff1a]\s*\S|[\"\u201c\u201e\u00ab\u300c\u300e].|\w{25,}|https?://"
)
"""Patterns of messages that contain what they refer to."""
_CALCULATION = re.compile(r"\d\s*[-+*/^=\u00d7\u00f7%<>]\s*\d")
_MARKS = r"[\s\u00bf?\u00a1!.,;\u2026\u3002\uff01\uff1f\uff0c\u3001\u061f\u0964]*"


def depends(text: str) -> bool:
    """Whether a message means something only after the one before it."""
    if len(text) > MOST_CHARACTERS or words(text) > MOST_WORDS:
        return False
    if not any(map(str.isalpha, text)):
        return not _CALCULATION.search(text)
    if _OWN_CONTENT.search(text):
        return False
    phrases = _phrases()
    if phrases["is"].fullmatch(text) or phrases["starts"].match(text) or corrects(text):
        return True
    return words(text) <= MOST_WORDS_WITH_A_PRONOUN and bool(phrases["has"].search(text))


@lru_cache(maxsize=2048)  # a conversation's messages come again with each turn
def corrects(text: str) -> bool:
    """Whether a message says that the answer before it is wrong."""
    return len(text) <= MOST_OF_A_CORRECTION and bool(_phrases()["corrections"].search(text))


def words(text: str) -> float:
    """About how many words a text has, also in scripts that put no blanks between them."""
    count = float(len(_UNSPACED.sub(" ", text).split()))
    return count + sum(len(script.findall(text)) / each for script, each in _SCRIPTS.items())


@cache
def _phrases() -> dict[str, re.Pattern[str]]:
    """Load the phrases of dependent messages: whole messages, beginnings, and parts."""
    text = files("collegium.router").joinpath("followups.toml").read_text(encoding="utf-8")
    told = {name: _joined(phrases) for name, phrases in tomllib.loads(text).items()}
    filler = rf"(?:(?:{told['fillers']})\W+)?"
    language = rf"(?:{told['languages']})(?:{told['language_ends']})?"
    whole = rf"{_word(told['whole'])}|{told['whole_unspaced']}|{language}|{told['polite']}"
    found = {
        "is": rf"{_MARKS}(?:(?:{whole}){_MARKS})+",
        "starts": rf"{_MARKS}{filler}(?:{_word(told['openers'])}|{told['openers_unspaced']})",
        "has": f"{_word(told['pronouns'])}|{_word(told['changes'])}|{told['pronouns_unspaced']}",
        "corrections": told["corrections"],
    }
    return {name: re.compile(pattern, re.IGNORECASE) for name, pattern in found.items()}


def _joined(phrases: str) -> str:
    lines = (line for line in phrases.splitlines() if line.strip() and line[0] != "#")
    return "|".join(line.strip("|") for line in lines)


def _word(phrases: str) -> str:
    """The phrases as whole words."""
    return rf"(?<!\w)(?:{phrases})(?!\w)"
