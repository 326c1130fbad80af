"""Requests that are made to fit their expert, and refusals that teach."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from collegium.experts.clients.reply import Call
from collegium.experts.fitting import fitted
from collegium.experts.learned import LEARNED_FOR_S, Learned
from collegium.registry.expert import Expert

SMALL = Expert("small", "engine", "small", engine="embedded")
REMOTE = Expert("gpt", "openai", "gpt", base_url="https://api.example/v1")


def asked(expert: Expert, text: Any = "hello", **fields: Any) -> tuple[dict[str, Any], Any]:
    """The body that an expert gets, without messages; and what is said of it."""
    body = {"messages": [{"role": "user", "content": text}], **fields}
    found = fitted(Call(expert, body))
    return {k: v for k, v in found.call.body.items() if k != "messages"}, found.adjusted


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_length_beyond_the_window_is_what_is_left_of_it(name: str) -> None:
    """By both names of it; what fits stays."""
    body, told = asked(SMALL, **{name: 4096})
    assert body == {name: 2038}
    assert told == (f"{name}=2038",)
    assert asked(SMALL, **{name: 2000}) == ({name: 2000}, ())


def test_a_long_prompt_is_left_half_of_the_rest() -> None:
    """For the estimate may be too low."""
    assert asked(SMALL, "word " * 1000, max_tokens=4096)[0]["max_tokens"] == 471


@pytest.mark.parametrize("expert", [SMALL, replace(REMOTE, context_window=2000)])
@pytest.mark.parametrize("words", [1750, 1850, 2500, 9000])
@pytest.mark.parametrize("length", [100, 4096])
def test_a_length_is_never_lowered_to_a_useless_one(
    expert: Expert, words: int, length: int
) -> None:
    """Prompt and all would be paid for a token: the expert refuses by its own count, or answers."""
    assert asked(expert, "word " * words, max_tokens=length) == ({"max_tokens": length}, ())


def test_the_longest_answer_of_an_expert_limits_a_length_whatever_is_left() -> None:
    """That is known for sure."""
    capped = replace(REMOTE, context_window=2000, capabilities={"max_output_tokens": 1000})
    assert asked(capped, "word " * 1800, max_tokens=4096)[0] == {"max_tokens": 1000}


def test_a_window_that_is_only_assumed_lowers_nothing() -> None:
    """An answer must not be cut because nobody told how much the model holds."""
    assert asked(REMOTE, max_tokens=4096) == ({"max_tokens": 4096}, ())
    short = replace(REMOTE, capabilities={"max_output_tokens": 1000})
    assert asked(short, max_tokens=4096) == ({"max_tokens": 1000}, ("max_tokens=1000",))


def test_wishes_in_vain_are_left_out() -> None:
    """Where it is known that they are."""
    plain = replace(REMOTE, capabilities={"reasoning": False, "parallel_tools": False})
    body, told = asked(plain, reasoning_effort="high", parallel_tool_calls=True, seed=1)
    assert body == {"seed": 1}
    assert told == ("reasoning_effort dropped", "parallel_tool_calls dropped")
    assert asked(plain, parallel_tool_calls=False)[1] == ()
    assert asked(REMOTE, reasoning_effort="high")[1] == ()


def test_a_refusal_teaches_until_the_expert_changes_or_time_passes() -> None:
    """It is nobody else's, and nothing where nobody refused."""
    now = [0.0]
    learned = Learned(now=lambda: now[0])
    assert learned.lacking([REMOTE]) == {}
    learned.note_refusal(REMOTE, "images")
    learned.note_refusal(REMOTE, "tools")
    assert learned.lacking([REMOTE, SMALL]) == {"gpt": frozenset({"images", "tools"})}
    assert learned.lacking([replace(REMOTE, version=2)]) == {}
    now[0] = LEARNED_FOR_S
    assert learned.lacking([REMOTE]) == {}
