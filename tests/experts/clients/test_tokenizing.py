"""Tokens are counted with a tokenizer that is at hand, and estimated until it is loaded."""

from __future__ import annotations

import pytest

from collegium.experts.clients.counting import estimated_tokens, prompt_tokens
from collegium.experts.clients.tokenizing import LONGEST, NEWER, OLDER, Tokenizers, encoding_of


@pytest.fixture(scope="module")
def loaded() -> Tokenizers:
    """A tokenizer that is ready."""
    tokenizers = Tokenizers()
    tokenizers.load(NEWER)
    return tokenizers


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), ("hello world", 2), ("3.14159", 4), ("\ud800", 1)],
)
def test_tokens_are_those_of_gpt_4o(loaded: Tokenizers, text: str, tokens: int) -> None:
    """Also of half a surrogate pair."""
    assert loaded.count(text, "openai/gpt-4o") == tokens


def test_it_is_estimated_until_the_tokenizer_is_loaded() -> None:
    """Nobody waits for it."""
    assert Tokenizers().count("hello world") == estimated_tokens("hello world")


def test_a_long_text_is_estimated(loaded: Tokenizers) -> None:
    """To count it would hold up everybody else."""
    text = "word " * LONGEST
    assert loaded.count(text) == estimated_tokens(text)


def test_a_prompt_is_counted_as_its_texts_are(loaded: Tokenizers) -> None:
    """With what a chat's template adds."""
    body = {"messages": [{"role": "user", "content": "hello world"}]}
    assert prompt_tokens(body, loaded.count) == 2 + 5


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("openai/gpt-4o", NEWER),
        ("gpt-5", NEWER),
        ("claude", NEWER),
        ("gpt-4-turbo", OLDER),
        ("azure/gpt-35-turbo", OLDER),
    ],
)
def test_the_tokenizer_is_the_models(model: str, name: str) -> None:
    """Or the one that comes nearest."""
    assert encoding_of(model) == name
