"""Answers that mean the same have the same key."""

from __future__ import annotations

from typing import Any

import pytest

from collegium.experts.aggregation.keys import key_of


@pytest.mark.parametrize(
    "texts",
    [
        ("42", " 42. ", "The answer is 42.", "So 6 * 7 = 42.\nAnswer: 42", "\\boxed{42}", "42.0"),
        ("3,000 metres", "3000 metres.", "Answer: 3000.0 metres"),
        ("B", "(b)", "b.", "The correct answer is B", "B) because it is round", "Answer: B"),
        ('{"a": 1, "b": [2]}', '{"b":[2.0],"a":1}', '```json\n{"b": [2], "a": 1}\n```'),
        (
            "SELECT a FROM t WHERE x = 'A b';",
            "select a\n from t where x='A b'",
            "```sql\nSelect a from t where x = 'A b'\n```",
        ),
        ("It rains.", " it   rains. "),
    ],
)
def test_the_same_answer_in_other_words(texts: tuple[str, ...]) -> None:
    """Form does not matter where it means nothing."""
    assert len({key_of({"content": text}) for text in texts}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("42", "43"),
        ("3 km", "3 m"),
        ("-5", "5"),
        ("A", "B"),
        ('{"a": 1}', '{"a": "1"}'),
        ("SELECT a FROM t WHERE x = 'A'", "SELECT a FROM t WHERE x = 'a'"),
        ("2021-07-04", "2021-04-07"),
        ("A dog barked 3 times at me", "3"),
        ("", "0"),
    ],
)
def test_other_answers_stay_apart(one: str, other: str) -> None:
    """What differs in substance is no vote for the same."""
    assert key_of({"content": one}) != key_of({"content": other})


def test_tool_calls_are_compared_by_name_and_arguments() -> None:
    """Ids and the order of arguments mean nothing."""

    def called(id_: str, name: str, arguments: str) -> dict[str, Any]:
        call = {"id": id_, "function": {"name": name, "arguments": arguments}}
        return {"content": None, "tool_calls": [call]}

    same = called("1", "find", '{"a": 1, "b": 2}'), called("2", "find", '{"b":2,"a":1}')
    assert key_of(same[0]) == key_of(same[1])
    assert key_of(same[0]) != key_of(called("1", "find", '{"a": 1, "b": 3}'))


def test_no_text_is_too_strange() -> None:
    """Deep or broken structures are text."""
    for text in ("[" * 100_000, "{broken", "select", "\\boxed{", "٣", "1e999999999", "NaN"):
        assert key_of({"content": text}).kind in ("text", "sql", "number")
