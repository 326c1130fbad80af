"""Answers of a prescribed form: how many words, which letters, which order."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from collegium.experts.questions.base import Draft
from collegium.experts.questions.kinds.names import PEOPLE, WORDS

TOPICS = ("the sea", "winter", "old books", "a busy market", "night trains", "gardens")


def draw(random: Random, level: int) -> Draft:
    """Level 1 has one condition, level 2 two or an order, level 3 several at once."""
    return random.choice(_BY_LEVEL[level])(random)


def _matching(text: str, pattern: str) -> Draft:
    return Draft(text, pattern, "regex", {"whole": True})


def _repeat(random: Random) -> Draft:
    word, times = random.choice(WORDS), random.randint(3, 6)
    text = f"Write the word {word} {times} times, separated by commas and nothing else."
    return _matching(text, rf"(?i)\s*{word}(?:\s*,\s*{word}){{{times - 1}}}\s*\.?\s*")


def _upper(random: Random) -> Draft:
    words = " ".join(random.sample(WORDS, 3))
    text = f"Write these three words in capital letters, and nothing else: {words}"
    return _matching(text, rf"\s*{words.upper()}\s*\.?\s*")


def _three(random: Random) -> Draft:
    text = f"Describe {random.choice(TOPICS)} in exactly three words, separated by blanks."
    return _matching(text, r"\s*[\w'-]+[,.]? [\w'-]+[,.]? [\w'-]+[.!]?\s*")


def _reverse(random: Random) -> Draft:
    words = random.sample(WORDS, random.randint(4, 6))
    text = (
        f"Write these words in reverse order, separated by blanks, and nothing else: "
        f"{' '.join(words)}"
    )
    return _matching(text, rf"\s*{' '.join(reversed(words))}\s*\.?\s*")


def _sorted(random: Random) -> Draft:
    words = random.sample(WORDS, 6)
    text = (
        "Write these words in alphabetical order, one on each line, and nothing else: "
        f"{', '.join(words)}"
    )
    return _matching(text, r"\s*" + r"\s*\n\s*".join(sorted(words)) + r"\s*")


def _initials(random: Random) -> Draft:
    letter, count = random.choice("bcmst"), random.randint(4, 6)
    text = (
        f"Write exactly {count} English words that all begin with the letter {letter}, in lower "
        "case, separated by single blanks, and nothing else."
    )
    return _matching(text, rf"\s*{letter}[a-z]+(?: {letter}[a-z]+){{{count - 1}}}\s*")


def _sentence(random: Random) -> Draft:
    word, count = random.choice(WORDS), random.randint(7, 11)
    text = (
        f"Write one sentence of exactly {count} words about {random.choice(TOPICS)}. It contains "
        f"the word {word}, has no comma and ends with a full stop. Reply with the sentence only."
    )
    words = rf"[A-Z][\w'-]*(?: [\w'-]+){{{count - 1}}}\."
    return _matching(text, rf"\s*(?=.*\b(?i:{word})\b){words}\s*")


def _without(random: Random) -> Draft:
    letter, name = random.choice("aeo"), random.choice(PEOPLE)
    text = (
        f"Write one sentence of 6 to 12 words in lower case, in which the letter {letter} does not "
        f"occur, and which does not mention {name}. Put it into double quotation marks, and write "
        "nothing else."
    )
    allowed = "".join(c for c in "abcdefghijklmnopqrstuvwxyz" if c != letter)
    word = rf"[{allowed}'-]+[,;]?"
    return _matching(text, rf'\s*"{word}(?: {word}){{5,11}}[.!?]?"\s*')


def _poem(random: Random) -> Draft:
    letters = random.choice(WORDS)[:4]
    lines = r"\s*\n\s*".join(rf"(?i:{c})\w*(?: [\w',;.!?-]+){{2,4}}" for c in letters)
    text = (
        f"Write a poem of four lines about {random.choice(TOPICS)}. The lines begin with the "
        f"letters {', '.join(letters.upper())}, in this order, and each has 3 to 5 words. Reply "
        "with the four lines only."
    )
    return _matching(text, rf"\s*{lines}\s*")


_BY_LEVEL: dict[int, tuple[Callable[[Random], Draft], ...]] = {
    1: (_repeat, _upper, _three),
    2: (_reverse, _sorted, _initials),
    3: (_sentence, _without, _poem),
}
