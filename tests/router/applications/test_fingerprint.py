"""What makes a fingerprint, and what does not."""

from __future__ import annotations

import numpy as np
import pytest

from collegium.router.applications.fingerprint import (
    READ,
    SIZE,
    fingerprint,
    of_signature,
    role_of,
    similarity,
)
from collegium.router.applications.signals import Signals
from tests.router.applications.prompts import APPS, CONTOSO


def test_a_run_of_words_has_the_same_number_wherever_it_stands() -> None:
    """Whatever the case, the blanks, the punctuation and the digits."""
    one = fingerprint(Signals(system="Sold on 12 March 2026, by Anna")).shingles
    other = fingerprint(Signals(system="... sold   ON 3 march: 1999 by ANNA!")).shingles
    within = fingerprint(Signals(system="Yesterday, sold on 7 March 2024 by Anna. Nobody")).shingles
    assert one.size == 5
    np.testing.assert_array_equal(one, other)
    assert set(one.tolist()) < set(within.tolist())


def test_numbers_of_different_words_differ() -> None:
    """All of 20,000 runs of three words."""
    words = [f"{a}{b}{c}" for a in "abcdefghi" for b in "klmnopqrs" for c in "tuvwxyz"]
    text = " ".join(words[i % len(words)] + words[(i * 7) % 31] for i in range(400))
    expected = {tuple(text.split()[i : i + 3]) for i in range(398)}
    assert fingerprint(Signals(system=text)).shingles.size == min(len(expected), READ)


@pytest.mark.parametrize("text", ["", "one", "one two", "?!", "\ud800 half a pair", "你好"])
def test_short_and_odd_texts_have_fingerprints(text: str) -> None:
    """Nothing is refused."""
    assert fingerprint(Signals(system=text)).shingles.size <= 3


def test_a_signature_holds_the_whole_fingerprint() -> None:
    """It is what is kept of an application."""
    signals = Signals(system=CONTOSO[0].text, tools=("find", "stop"), schema='{"a": 1}')
    whole = fingerprint(signals)
    again = of_signature(whole.signature)
    for part in ("shingles", "role", "tools", "schema"):
        np.testing.assert_array_equal(getattr(again, part), getattr(whole, part))


def test_similarity_estimates_the_jaccard_similarity() -> None:
    """Within three standard errors of the exact one, for texts that don't fit into the sketch."""
    common = [
        f"c{chr(97 + i % 26)}{chr(97 + i // 26 % 26)}{chr(97 + i // 676)}x" for i in range(900)
    ]
    own = [f"o{word}" for word in common[:300]]
    one = fingerprint(Signals(system=" ".join(common + own))).signature
    other = fingerprint(Signals(system=" ".join(common))).signature
    exact = 898 / 1198
    assert similarity(one, other) == pytest.approx(
        exact, abs=3 * (exact * (1 - exact) / SIZE) ** 0.5
    )
    assert similarity(one, one) == 1.0
    assert similarity(one, one[:0]) == 0.0


def test_fields_of_a_schema_count_not_their_order() -> None:
    """Nor descriptions and defaults."""
    one = '{"properties": {"a": {"type": "string"}, "b": {"properties": {"c": {}}}}}'
    other = '{"properties": {"b": {"properties": {"c": {}}}, "a": {"description": "x"}}}'
    third = '{"properties": {"a": {}, "c": {}}}'
    first = fingerprint(Signals(schema=one)).schema
    np.testing.assert_array_equal(first, fingerprint(Signals(schema=other)).schema)
    assert fingerprint(Signals(schema=third)).schema.tolist() != first.tolist()
    assert fingerprint(Signals(schema="no JSON")).schema.size == 1


def test_the_role_is_the_first_sentence_that_says_something() -> None:
    """Stock phrases are passed over; without a role the task is taken."""
    assert role_of("Hello.\n## You are Ada, a tutor. You are kind.") == "You are Ada, a tutor"
    assert role_of("You are a helpful assistant. You are the desk of A.") == "You are the desk of A"
    assert role_of("You are a helpful AI assistant.") == ""
    assert role_of("Today is Monday. Translate the text into Greek.").startswith("Translate")
    assert role_of("Captions are short.") == ""


def test_similarity_ranks_applications_of_one_company_above_others() -> None:
    """So it can be used to pool them."""
    prints = {a.name: fingerprint(Signals(system=a.text)).signature for a in APPS}
    assert similarity(prints["orders"], prints["advice"]) > 0.4
    assert similarity(prints["orders"], prints["sql"]) < 0.02
