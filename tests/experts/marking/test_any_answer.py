"""Whatever an expert answers, it gets a mark and nothing breaks."""

from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collegium.experts.marking import checker_of
from collegium.experts.marking.agreement import Agreement
from collegium.experts.marking.numbers import number_of

SCHEMA = {
    "$defs": {"n": {"type": "number", "multipleOf": 0.5, "maximum": 9}},
    "type": ["object", "array", "string", "number"],
    "properties": {"a": {"$ref": "#/$defs/n"}, "b": {"pattern": "^x+$"}},
    "items": {"$ref": "#/$defs/n"},
    "uniqueItems": True,
}
REFERENCES: dict[str, Any] = {
    "reference": ["Paris", "the City"],
    "number": {"value": "1,200.5 km", "tolerance": 0.01},
    "option": {"letter": "B", "text": "Paris"},
    "json_schema": {"schema": SCHEMA, "value": {"a": 1}},
    "sql": {"query": "SELECT a FROM t", "ddl": "CREATE TABLE t (a); INSERT INTO t VALUES (1);"},
    "regex": r"^(a|b)+\d{2,3}$",
    "tool_call": [{"name": "f", "arguments": {"x": [1, "y"]}, "optional": {"z": None}}],
}
WORDS = ["The answer is ", "####", "```json\n", "```", "SELECT a FROM t", "1,200.5", "km", '"a": ']
PIECES = st.sampled_from([r"\boxed{", *WORDS, *"}{[]()-/²½%\n\x00", "B)", "10^", "e9"])
TEXTS = st.one_of(
    st.text(max_size=80),
    st.text(alphabet=string.digits + string.punctuation + " ABab\n", max_size=80),
    st.lists(st.one_of(PIECES, st.text(max_size=3)), max_size=12).map("".join),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
ANSWERS = st.fixed_dictionaries(
    {"content": TEXTS | JSON},
    optional={"tool_calls": JSON | st.lists(st.fixed_dictionaries({"function": JSON}))},
)


@pytest.mark.parametrize("name", REFERENCES)
@settings(max_examples=50, deadline=None)
@given(answer=ANSWERS)
def test_any_answer_gets_a_mark(name: str, answer: dict[str, Any]) -> None:
    """From 0 to 1, for the reference is a good one."""
    mark = checker_of(name).mark({"messages": []}, answer, REFERENCES[name])
    assert mark is not None
    assert 0 <= mark <= 1


@pytest.mark.parametrize("name", REFERENCES)
@settings(max_examples=50, deadline=None)
@given(reference=JSON)
def test_any_reference_is_used_or_not(name: str, reference: Any) -> None:
    """One that makes no sense gives no mark, or one that nothing can earn."""
    mark = checker_of(name).mark({}, {"content": "The answer is (B) 7."}, reference)
    assert mark is None or 0 <= mark <= 1


@settings(max_examples=50, deadline=None)
@given(st.integers(-(10**12), 10**12), st.sampled_from(["{}", "{:,}", "= {}.", "**{}**", "${:,}$"]))
def test_whole_numbers_are_read_as_they_are_written(value: int, form: str) -> None:
    """With separators, as a sentence's end, in Markdown and LaTeX."""
    found = number_of(f"First 17, then 4; so the answer is {form.format(value)}")
    assert found is not None
    assert found.value == value


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.sampled_from("abcd"), ANSWERS))
def test_any_answers_agree_or_not(answers: dict[str, Any]) -> None:
    """Each expert has a score from 0 to 1, or all have none."""
    marks = Agreement(families={"a": "x", "b": "x"}).fit([answers]).marks(answers)
    assert marks.keys() == answers.keys()
    assert all(mark is None or 0 <= mark <= 1 for mark in marks.values())
