"""Surface features of a query besides its meaning: length, digits, script, code, options."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from collegium.router.vectors import Encoder, Floats, is_quick

MOST_CHARACTERS = 4_000
WEIGHT = 0.15
"""Of one standard deviation of a feature, where an embedding's length is one. Measured on 1,500
labels of GPT-4 against Mixtral on MMLU (kernel ridge, two splits): APGR 0.642 with weight 0.03,
0.649 with 0.06, 0.657 with 0.12, 0.660 with 0.2."""

CODE = re.compile(r"[{};]|==|```|\(\)|->|\b(?:def|class|function|return|import|assert)\b")
MATHS = re.compile(r"\\[a-z]+|[$=^+*/<>√∑∫π≤≥\u00d7÷]")
NEGATION = re.compile(r"\b(?:not|except|least|false|incorrect)\b")
OPTION = re.compile(r"^\s*\(?[A-J][).:]\s.*$", re.MULTILINE)
YEAR = re.compile(r"\b1[0-9]\d\d\b|\b20\d\d\b")
MONEY = re.compile(r"\$\d|\d%|percent")
FIRST_PERSON = re.compile(r"\bI\b")


@dataclass(frozen=True)
class Look:
    """A text, taken apart once for all features."""

    text: str
    low: str
    words: list[str]
    options: list[str]
    codes: NDArray[np.uint32]
    characters: int
    """The length of the whole text, of which `text` is the beginning."""

    def share(self, least: int, most: int) -> float:
        """The share of characters with a code point in [least, most]."""
        inside = (self.codes >= least) & (self.codes <= most)
        return float(inside.sum()) / max(len(self.codes), 1)

    def per_word(self, pattern: re.Pattern[str]) -> float:
        """Return the matches of a pattern per word."""
        return len(pattern.findall(self.text)) / max(len(self.words), 1)

    def option_lengths(self) -> NDArray[np.float64]:
        """Return the lengths of the options; a single zero if there are none."""
        return np.array([len(option) for option in self.options] or [0], dtype=np.float64)


def look(text: str) -> Look:
    """Take a text apart, without the blanks around it: a service's queries have none."""
    text = text.strip()
    start = text[:MOST_CHARACTERS]
    codes = np.frombuffer(start.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    return Look(start, start.lower(), start.split(), OPTION.findall(start), codes, len(text))


def _question(word: str) -> Callable[[Look], float]:
    pattern = re.compile(rf"\b{word}\b")
    return lambda seen: float(bool(pattern.search(seen.low)))


FEATURES: Mapping[str, tuple[Callable[[Look], float], float, float]] = MappingProxyType(
    {
        "characters": (lambda s: np.log1p(s.characters) / 8, 0.70, 0.13),
        "words": (lambda s: np.log1p(len(s.words)) / 6, 0.64, 0.17),
        "chinese": (lambda s: min(1.0, 4 * s.share(0x3400, 0x9FFF)), 0.06, 0.23),
        "other_script": (lambda s: min(1.0, 10 * _other_script(s)), 0.03, 0.14),
        "digits": (lambda s: min(1.0, 6 * s.share(48, 57)), 0.13, 0.26),
        "capitals": (lambda s: min(1.0, 6 * s.share(65, 90)), 0.25, 0.17),
        "lines": (lambda s: min(1.0, np.log1p(s.text.count("\n")) / 4), 0.38, 0.26),
        "code": (lambda s: min(1.0, 4 * s.per_word(CODE)), 0.04, 0.15),
        "maths": (lambda s: min(1.0, 3 * s.per_word(MATHS)), 0.08, 0.22),
        "options": (lambda s: min(len(s.options), 10) / 10, 0.41, 0.37),
        "question_marks": (lambda s: min(s.text.count("?"), 3) / 3, 0.22, 0.23),
        "negations": (lambda s: min(len(NEGATION.findall(s.low)), 3) / 3, 0.11, 0.26),
        "word_length": (lambda s: min(1.0, _word_length(s) / 12), 0.41, 0.10),
        "variety": (lambda s: len(set(s.low.split())) / max(len(s.words), 1), 0.77, 0.19),
        "blank": (lambda s: float("___" in s.text), 0.01, 0.12),
        "quotes": (lambda s: float('"' in s.text), 0.12, 0.33),
        "first_person": (lambda s: float(bool(FIRST_PERSON.search(s.text))), 0.26, 0.44),
        "statements": (lambda s: float("statement 1" in s.low), 0.01, 0.10),
        "money": (lambda s: float(bool(MONEY.search(s.text))), 0.09, 0.29),
        "colon_last": (lambda s: float(s.text.rstrip()[-1:] in (":", "\uff1a")), 0.48, 0.50),
        "year": (lambda s: float(bool(YEAR.search(s.text))), 0.08, 0.27),
        "what": (_question("what"), 0.20, 0.40),
        "which": (_question("which"), 0.32, 0.47),
        "who": (_question("who"), 0.09, 0.28),
        "when": (_question("when"), 0.10, 0.30),
        "where": (_question("where"), 0.04, 0.20),
        "why": (_question("why"), 0.05, 0.21),
        "how": (_question("how"), 0.11, 0.32),
        "option_length": (lambda s: np.log1p(s.option_lengths().mean()) / 6, 0.36, 0.28),
        "option_spread": (lambda s: min(1.0, s.option_lengths().std() / 50), 0.11, 0.18),
        "stem": (lambda s: np.log1p(max(0.0, _stem(s))) / 8, 0.63, 0.13),
        "numeric_options": (lambda s: _numeric_options(s), 0.16, 0.35),
    }
)
"""Each feature with its mean and spread over the prompts of seven routing sets."""


def _other_script(seen: Look) -> float:
    return seen.share(0x250, 0x10FFFF) - seen.share(0x3400, 0x9FFF)


def _word_length(seen: Look) -> float:
    return sum(map(len, seen.words)) / max(len(seen.words), 1)


def _stem(seen: Look) -> float:
    return seen.characters - float(seen.option_lengths().sum())


def _numeric_options(seen: Look) -> float:
    numeric = [any(map(str.isdigit, option)) for option in seen.options]
    return sum(numeric) / max(len(numeric), 1)


def surface(texts: Sequence[str]) -> Floats:
    """Return each text's standardised features, clipped to ±3, shape (n, 32)."""
    usual = np.array([u for _, u, _ in FEATURES.values()])
    spread = np.array([s for _, _, s in FEATURES.values()])
    looks = [look(text) for text in texts]
    rows = [[feature(seen) for feature, _, _ in FEATURES.values()] for seen in looks]
    raw = np.asarray(rows, dtype=np.float64).reshape(len(rows), len(FEATURES))
    return np.asarray(np.clip((raw - usual) / spread, -3, 3), dtype=np.float32)


class SurfaceEncoder:
    """Another encoder's vectors with the surface features behind them."""

    def __init__(self, inner: Encoder, *, weight: float = WEIGHT) -> None:
        self.name = f"{inner.name}+surface"
        self.inner = inner
        self.quick = is_quick(inner)
        self._weight = np.float32(weight)

    def encode(self, texts: Sequence[str]) -> Floats:
        """Return one row a text, shape (n, inner dimensions + features)."""
        return self.beside(self.inner.encode(texts), texts)

    def beside(self, vectors: Floats, texts: Sequence[str]) -> Floats:
        """Append the features of `texts` to vectors that the inner encoder made of them."""
        return np.hstack([vectors, self._weight * surface(texts)])
