"""Signs that an expert is stuck, read from a conversation's messages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collegium.router.stuck import believed, continues, in_tool_loop, signs_of

USER = {"role": "user", "content": "Mend the test."}


def call(name: str, result: str, **arguments: Any) -> list[dict[str, Any]]:
    """One turn: a call, and what it brought."""
    function = {"name": name, "arguments": json.dumps(arguments)}
    return [
        {"role": "assistant", "tool_calls": [{"id": "1", "function": function}]},
        {"role": "tool", "tool_call_id": "1", "content": result},
    ]


def test_work_that_goes_on_shows_no_sign() -> None:
    """Other files, and the tests again after a change."""
    messages = [USER, *call("read", "a", path="a"), *call("read", "b", path="b")]
    messages += [*call("test", "2 failed", all=True), *call("edit", "done", path="a")]
    messages += [*call("test", "all passed", all=True), {"role": "user", "content": "Thanks!"}]
    assert signs_of(messages).count == 0


@pytest.mark.parametrize(
    ("turns", "count", "words"),
    [
        ([*call("sh", "x", c="a"), *call("sh", "y", c="a")], 1, "the same call of sh again"),
        (2 * call("sh", "x", c="a"), 2, "the same call of sh again"),
        ([*call("sh", "x"), *call("ls", "y"), *call("sh", "x")], 2, "the same call of sh again"),
        ([*call("sh", "Error 12", c="a"), *call("sh", "Error 7", c="b")], 1, "the same error of"),
        ([{"role": "assistant", "content": ""}], 1, "an empty answer"),
        ([{"role": "user", "content": "no, that is wrong"}], 1, "the user says that it is wrong"),
    ],
)  # fmt: skip
def test_signs(turns: list[dict[str, Any]], count: int, words: str) -> None:
    """The same call, the same error, nothing, a correction."""
    found = signs_of([USER, *turns])
    assert found.count == count
    assert found.words.startswith(words)


def test_an_expert_that_found_its_way_is_not_stuck() -> None:
    """Only the newest messages count."""
    turns = 3 * call("read", "x", path="a")
    turns += [message for n in range(12) for message in call("read", str(n), path=str(n))]
    assert signs_of([USER, *turns]).count == 0


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"role": "tool", "content": "4"}, True),
        ({"role": "function", "content": "4"}, True),
        ({"role": "user", "content": [{"type": "tool_result", "content": "4"}]}, True),
        ({"role": "user", "content": "And now?"}, False),
        ({"role": "assistant", "content": "Done."}, False),
    ],
)
def test_a_tool_loop_ends_with_its_result(message: dict[str, Any], expected: bool) -> None:
    """In OpenAI's shape and in Anthropic's."""
    assert in_tool_loop([USER, message]) is expected


def test_what_an_agent_adds_to_a_result_is_passed_over() -> None:
    """A reminder after the result is nobody's question."""
    reminder = {"role": "user", "content": "<system-reminder>Go on.</system-reminder>"}
    assert in_tool_loop([USER, *call("read", "x"), reminder])
    assert not in_tool_loop([reminder])
    assert not in_tool_loop([])


def test_a_conversation_goes_on_when_somebody_has_answered() -> None:
    """A first question may be anybody's."""
    assert continues([USER, {"role": "assistant", "content": "Yes."}, USER])
    assert not continues([USER, USER])


@pytest.mark.parametrize("quality", [0.3, 0.9, 0.99])
def test_each_sign_lowers_a_belief(quality: float) -> None:
    """Of an expert that was sure to be right little is left after two."""
    lowered = [believed(quality, signs) for signs in range(4)]
    assert lowered == sorted(lowered, reverse=True)
    assert lowered[0] == quality
    assert lowered[2] < 0.15
    assert believed(1.0, 1) == believed(0.99, 1)
    assert believed(0.0, 1) == 0.0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "tool"])},
        optional={"content": JSON, "tool_calls": st.lists(JSON, max_size=2), "function_call": JSON},
    ),
    max_size=6,
)


@given(MESSAGES)
def test_whatever_a_message_holds_reading_it_is_no_error(messages: list[dict[str, Any]]) -> None:
    """Callers send anything."""
    assert signs_of(messages).count >= 0
    in_tool_loop(messages)
