"""What an upstream refuses is learned, and told apart from what the answer depends on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from collegium.errors import CapabilityMissing
from collegium.experts.clients.adaptations import (
    Adaptations,
    may_be_left_out,
    refused_parameters,
)
from collegium.experts.clients.upstream_errors import ErrorDetails
from tests.experts.clients.asking import TINY

USER = {"role": "user", "content": "Hi"}
BODY = {"messages": [USER], "max_tokens": 8, "temperature": 0.5, "reasoning_effort": "high"}


def learned(message: str, body: Any = BODY, code: str = "") -> Adaptations:
    """Adaptations after one refusal that taught something."""
    adaptations = Adaptations()
    error = CapabilityMissing("tiny", message, capability="parameter")
    assert adaptations.learn(error, ErrorDetails(400, message, code), body)
    return adaptations


def test_a_body_passes_as_it_is_until_something_is_refused() -> None:
    """The very same."""
    assert Adaptations().applied(TINY, BODY).body is BODY


def test_a_parameter_is_left_out_from_then_on() -> None:
    """And named."""
    applied = learned("'temperature' is not supported").applied(TINY, BODY)
    assert applied.dropped == ("temperature",)
    assert "temperature" not in applied.body


def test_a_value_that_is_refused_says_nothing_of_other_values() -> None:
    """Such as an effort that a model does not have."""
    words = "Unsupported value: 'reasoning_effort' does not support 'high' with this model."
    adaptations = learned(words, code="unsupported_value")
    assert adaptations.applied(TINY, BODY).dropped == ("reasoning_effort",)
    assert adaptations.applied(TINY, {**BODY, "reasoning_effort": "low"}).dropped == ()


def test_the_two_names_of_a_limit_are_not_swapped_for_ever() -> None:
    """An upstream that refuses both takes neither."""
    adaptations = learned("'max_tokens' is not supported")
    assert adaptations.applied(TINY, BODY).body["max_completion_tokens"] == 8
    error = CapabilityMissing("tiny", "no", capability="max_tokens")
    body = {"messages": [USER], "max_completion_tokens": 8}
    assert not adaptations.learn(
        error, ErrorDetails(400, "'max_completion_tokens' is not supported"), body
    )


def test_a_limit_that_is_given_by_both_names_is_given_once() -> None:
    """By the one that is taken, with its own value."""
    body = {**BODY, "max_completion_tokens": 16}
    applied = learned("'max_tokens' is not supported", body).applied(TINY, body)
    assert (applied.body["max_completion_tokens"], "max_tokens" in applied.body) == (16, False)


def test_a_developer_is_a_system_where_it_is_known_beforehand() -> None:
    """By the expert's capabilities."""
    expert = replace(TINY, capabilities={"developer_role": False})
    body = {"messages": [{"role": "developer", "content": "Be brief."}, USER]}
    applied = Adaptations().applied(expert, body)
    assert [m["role"] for m in applied.body["messages"]] == ["system", "user"]
    assert body["messages"][0]["role"] == "developer"


def test_images_stay_where_texts_are_put_together() -> None:
    """A refusal of parts teaches nothing where there are no texts to join."""
    image = {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url"}]}
    error = CapabilityMissing("tiny", "no", capability="parts")
    assert not Adaptations().learn(
        error, ErrorDetails(400, "content must be a string"), {"messages": [image]}
    )


@pytest.mark.parametrize(
    ("name", "value", "left_out"),
    [
        ("store", True, True),
        ("top_k", 5, True),
        ("metadata", {"a": "b"}, True),
        ("prompt_cache_key", "x", True),
        ("seed", 1, True),
        ("n", 1, True),
        ("n", 2, False),
        ("logprobs", False, True),
        ("logprobs", True, False),
        ("tools", [], True),
        ("tools", [{}], False),
        ("tool_choice", "auto", True),
        ("tool_choice", "required", False),
        ("response_format", {"type": "text"}, True),
        ("response_format", {"type": "json_object"}, False),
        ("parallel_tool_calls", True, True),
        ("parallel_tool_calls", False, False),
        ("stop", ["."], False),
        ("stop", None, True),
        ("guided_json", {"type": "object"}, False),
    ],
)
def test_what_the_answer_depends_on_is_not_left_out(name: str, value: Any, left_out: bool) -> None:
    """Unless its value asks for nothing."""
    assert may_be_left_out(name, value) is left_out


@pytest.mark.parametrize(
    ("message", "names"),
    [
        ("property 'user' is unsupported", ["user"]),
        ("'user' must follow 'system' in the messages: unsupported", ["user"]),
        ("the user said something unsupported", []),
        ("Unknown parameter: 'n'.", ["n"]),
        ("n is not supported", ["n"]),
        ("topK is not supported", ["top_k"]),
        ("'top_k' is not supported. Use 'n' instead.", ["top_k"]),
        ("unsupported parameters: top_k, user", ["top_k"]),
    ],
)
def test_a_parameter_is_found_in_words(message: str, names: list[str]) -> None:
    """A word of English is a parameter only where it stands as a name."""
    body = {"messages": [USER], "user": "u", "n": 2, "top_k": 5}
    assert refused_parameters(ErrorDetails(400, message), body) == names
