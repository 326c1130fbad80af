"""Remembering words gives the tokenizer's own tokens, whatever the text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import WhitespaceSplit

from collegium.experts.embedded import encoder_path
from collegium.router import word_tokens
from collegium.router.word_tokens import WordTokens

TOKENIZER = Tokenizer.from_file(str(encoder_path() / "tokenizer.json"))
TOKENIZER.no_truncation()
TOKENIZER.no_padding()
TOKENS = WordTokens(TOKENIZER)


def whole(text: str) -> list[int]:
    """What the tokenizer says."""
    ids: list[int] = TOKENIZER.encode(text, add_special_tokens=False).ids
    return ids


@given(st.text(st.characters(max_codepoint=127), max_size=80) | st.text(max_size=40))
def test_any_text(text: str) -> None:
    """With control characters, punctuation, other scripts; twice, as the second is remembered."""
    assert TOKENS.of(text) == TOKENS.of(text) == whole(text)


@pytest.mark.parametrize(
    "text",
    [
        "Write 4 July 1998 as YYYY-MM-DD, please!",
        "[UNK] and [CLS] are special, [cls] is not; [MASK]",
        "snake_case `code` a|b ~ ^ $3.50 <b> {x: [1]} \\n 50% e-mail",
        f"{'long' * 20} {'y' * 101} tab\tline\r\nend",
        "naïve Zürich 東京 🚢",
        "",
    ],
)
def test_odd_texts(text: str) -> None:
    """Special tokens, words that are too long, what is not ASCII."""
    assert TOKENS.of(text) == whole(text)


def test_it_forgets_before_it_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many words and no more, and none that is long."""
    monkeypatch.setattr(word_tokens, "MOST_WORDS", 10)
    tokens = WordTokens(TOKENIZER)
    for i in range(50):
        text = f"word{i} {'z' * 40}"
        assert tokens.of(text) == whole(text)
        assert len(tokens._known) <= 10
    assert all(len(word) <= word_tokens.LONGEST for word in tokens._known)


def test_a_tokenizer_with_other_words_is_asked_itself() -> None:
    """One that splits at blanks alone is not read by BERT's rules."""
    other = Tokenizer(WordPiece({"[UNK]": 0, "c++": 1, "c": 2, "+": 3}, unk_token="[UNK]"))
    other.pre_tokenizer = WhitespaceSplit()
    assert WordTokens(other).of("c++ c") == [1, 2]
