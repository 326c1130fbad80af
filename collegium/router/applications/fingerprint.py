"""Fingerprints of applications: a MinHash of system prompt, tool names and response schema.

The words of a system prompt are read in overlapping threes (shingles), each as one number; the
smallest `SIZE` numbers are the sketch (bottom-k MinHash), of which both Jaccard similarity and
containment can be estimated. Numbers carry in their lowest two bits what they were made of, so that
one array, the signature, holds everything.

Digits count as one digit: dates and numbers don't tell applications apart. The sentence that says
who the model is ("You are Atlas, the travel planner of …"), the role, is kept by itself: it is what
applications with the same boilerplate differ in, and what remains where memory is pasted in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any
from zlib import crc32

import numpy as np

from collegium.registry.application import Signature, no_signature
from collegium.router.applications.signals import Signals

WORDS = 3
SIZE = 256
READ = 4 * SIZE
"""More is read of a request than is stored of an application, since much of it may be pasted in."""
MOST_CHARACTERS = 60_000
"""Of a longer system prompt, the first and the last half of this many characters are read."""
SHINGLE, ROLE, TOOL, SCHEMA = 0, 1, 2, 3

_KIND = np.uint64(3)
_BEGINS = r"(?:^|[.!?:>\n*#])[\s\"'*#>_-]*"
_REST = r"[^.!?\n]{0,200})"
_ROLE = re.compile(
    _BEGINS + r"((?:you are|you're|you act as|act as|your (?:role|task|job|goal|purpose) is|"
    r"i want you to act as|this assistant|du bist|sie sind|tu es|vous êtes|eres|usted es|você é|"
    r"sei un|jesteś|你是|您是|あなたは)" + _REST,
    re.IGNORECASE,
)
_TASK = re.compile(
    _BEGINS + r"((?:translate|extract|summari[sz]e|classify|answer|write|generate|rewrite|convert|"
    r"analy[sz]e|review|compare|label|rate|identify|turn the|you (?:help|answer|write|triage|"
    r"translate|extract|summari[sz]e|classify|review|plan|suggest|generate|analy[sz]e)) " + _REST,
    re.IGNORECASE,
)
_STOCK = re.compile(
    r"you(?: are|'re) (?:an? |the )?(?:very |extremely )?(?:helpful|friendly|useful|polite|"
    r"knowledgeable|honest|harmless|,|and|\s)*(?:ai|virtual|digital|chat|language|large|\s)*"
    r"(?:assistant|chatbot|bot|model|agent)\s*$"
    r"|you are chatgpt|you are (?:an ai|a large language model)",
    re.IGNORECASE,
)
"""Roles that say nothing: half of all applications begin so."""
_WITHOUT_BLANKS = re.compile(r"([\u2e80-\u9fff\uac00-\ud7af\u3040-\u30ff\uff00-\uffef])")


@dataclass(frozen=True)
class Fingerprint:
    """The shingle hashes of one request, sorted, by their kinds."""

    shingles: Signature
    role: Signature
    tools: Signature
    schema: Signature

    @property
    def signature(self) -> Signature:
        """All hashes in one sorted array; `of_signature` is the inverse."""
        kept = self.shingles[:SIZE]
        return np.sort(np.concatenate((kept, self.role, self.tools, self.schema)))


def fingerprint(signals: Signals) -> Fingerprint:
    """The fingerprint of what a request shows; its tag and tenant have no part in it."""
    system = signals.system
    if len(system) > MOST_CHARACTERS:
        system = system[: MOST_CHARACTERS // 2] + " " + system[-MOST_CHARACTERS // 2 :]
    return Fingerprint(
        _shingles(system)[:READ],
        _names(_runs(role_of(system)), ROLE),
        _names(signals.tools, TOOL),
        _names(_fields(signals.schema), SCHEMA),
    )


def of_signature(signature: Signature) -> Fingerprint:
    """The fingerprint that a signature was made of."""
    numbers = np.sort(np.asarray(signature, dtype=np.uint64))
    kinds = numbers & _KIND
    return Fingerprint(*(numbers[kinds == np.uint64(kind)] for kind in range(4)))


def role_of(system: str) -> str:
    """Return the first sentence that says who the model is, or otherwise what it should do.

    Sentences that everybody writes are passed over.
    """
    for pattern in (_ROLE, _TASK):
        for found in pattern.finditer(system):
            sentence = found[1].strip()
            if not _STOCK.match(sentence):
                return sentence
    return ""


def similarity(one: Signature, other: Signature) -> float:
    """Return the estimated Jaccard similarity of two signatures, 0 to 1."""
    if not one.size or not other.size:
        return 0.0
    bound = min(_reach(one), _reach(other))
    one, other = _within(one, bound), _within(other, bound)
    shared = np.intersect1d(one, other, assume_unique=True).size
    return float(shared / max(one.size + other.size - shared, 1))


def _reach(signature: Signature) -> int:
    """Return the largest shingle hash that a sketch can hold; the maximum for a short text."""
    shingles = signature[signature & _KIND == SHINGLE]
    return int(shingles.max()) if shingles.size else 2**64 - 1


def _within(signature: Signature, bound: int) -> Signature:
    other = signature & _KIND != SHINGLE
    within: Signature = signature[other | (signature <= np.uint64(bound))]
    return within


# --- numbers ---

_BASE = 0x9E3779B97F4A7C15 | 1
_INVERSE = pow(_BASE, -1, 2**64)


def _powers(base: int, count: int) -> Signature:
    steps = np.full(count, base, dtype=np.uint64)
    steps[0] = 1
    return np.multiply.accumulate(steps)


@cache
def _powers_of_both(bits: int) -> tuple[Signature, Signature]:
    """The powers of the base and of its inverse modulo 2^64, `2**bits` of each."""
    return _powers(_BASE, 1 << bits), _powers(_INVERSE, 1 << bits)


_LETTERS = np.zeros(256, dtype=bool)
_LETTERS[[*range(48, 58), *range(97, 123), *range(128, 256)]] = True
_DIGITS = np.zeros(256, dtype=bool)
_DIGITS[48:58] = True


def _shingles(text: str) -> Signature:
    """The numbers of all runs of `WORDS` words, sorted; of a shorter text that of all its words.

    A run's number is a difference of prefix sums, so all are computed at once: 30 µs for 500 words.
    """
    if not text:
        return no_signature()
    text = text.lower()
    if not text.isascii():
        text = _WITHOUT_BLANKS.sub(r" \1 ", text)
    data = np.frombuffer(text.encode("utf-8", "replace"), dtype=np.uint8)
    letter, digits = _LETTERS[data], _DIGITS[data]
    begin, kept = letter.copy(), letter.copy()
    begin[1:] &= ~letter[:-1]
    begins = np.flatnonzero(begin)
    if not begins.size:
        return no_signature()
    kept[1:] &= ~(digits[1:] & digits[:-1])
    places = np.cumsum(kept)  # of each byte among those that are kept, from 1
    letters = np.where(digits, np.uint8(48), data)[kept].astype(np.uint64)
    ups, downs = _powers_of_both(max(12, int(letters.size).bit_length()))
    sums = np.zeros(letters.size + 1, dtype=np.uint64)
    np.cumsum(letters * ups[: letters.size], out=sums[1:])
    starts = places[begins] - 1
    ends = np.append(starts[1:], letters.size)
    span = min(WORDS, starts.size)
    first, last = starts[: starts.size - span + 1], ends[span - 1 :]
    return _numbers((sums[last] - sums[first]) * downs[first], SHINGLE)


def _runs(sentence: str) -> list[str]:
    """The runs of words of a short text."""
    words = re.sub(r"\d+", "0", _WITHOUT_BLANKS.sub(r" \1 ", sentence.lower()))
    each = re.findall(r"\w+", words)
    return [" ".join(each[i : i + WORDS]) for i in range(max(len(each) - WORDS + 1, bool(each)))]


def _names(names: Iterable[str], kind: int) -> Signature:
    wide = [crc32(name.encode("utf-8", "replace")) for name in names]
    return _numbers(np.array(wide, dtype=np.uint64), kind) if wide else no_signature()


def _numbers(raw: Signature, kind: int) -> Signature:
    """Spread numbers evenly (the finaliser of SplitMix64), and mark them with their kind."""
    mixed = (raw ^ (raw >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    marked = np.sort((mixed & ~_KIND) | np.uint64(kind))
    new = np.ones(marked.size, dtype=bool)
    np.not_equal(marked[1:], marked[:-1], out=new[1:])
    distinct: Signature = marked[new]
    return distinct


def _fields(schema: str) -> list[str]:
    """The names of a schema's fields, with those above them; other text counts as one name."""
    if not schema:
        return []
    try:
        names = sorted(set(_names_in(json.loads(schema), "")))
    except (ValueError, RecursionError):
        return [schema]
    return names or [schema]


def _names_in(schema: Any, above: str) -> Iterator[str]:
    if isinstance(schema, list):
        for part in schema:
            yield from _names_in(part, above)
    if not isinstance(schema, dict):
        return
    for key, value in schema.items():
        if key in ("properties", "$defs", "definitions") and isinstance(value, dict):
            for name, part in value.items():
                yield f"{above}.{name}"
                yield from _names_in(part, f"{above}.{name}")
        else:
            yield from _names_in(value, above)
