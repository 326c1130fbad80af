"""BERT's tokens of a text, with a cache of words: a fifth of the tokenizer's own time.

WordPiece looks at each word by itself, so the words' tokens one after the other are the text's.
BERT's rules for what a word is are short in ASCII: letters and digits, or one punctuation mark.
Other texts, and tokenizers that do not keep to these rules, go the tokenizer's own way.
"""

from __future__ import annotations

import re
from typing import Any

from collegium.router.vectors import readable

MOST_WORDS = 16_384
"""Cached words; the cache is emptied when it is full of rare ones. Numbers, which never recur, take
about 200 bytes each until then: 3 MB.
"""
LONGEST = 32
"""Longer words are not cached: callers choose them, and memory is limited."""
_WORDS = re.compile(r"[a-z0-9]+|[!-/:-@\[-`{-~]")
_CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
_PROBE = "Isn't it 3.50$? un_believable\tC++ [x]\n\r2^10 `a|b`~ (ok)"


class WordTokens:
    """A `tokenizers.Tokenizer` that remembers words."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._known: dict[str, tuple[int, ...]] = {}
        self._numbers = list(range(tokenizer.get_vocab_size()))
        """Tokens are interned: separate integers would take 150 bytes more per word."""
        special = [re.escape(t.content) for t in tokenizer.get_added_tokens_decoder().values()]
        self._odd = re.compile("|".join([_CONTROL, *special]))
        self._by_words = self._remembered(_PROBE) == self._whole(_PROBE)

    def of(self, text: str) -> list[int]:
        """The text's tokens, without special ones."""
        if self._by_words and text.isascii() and not self._odd.search(text):
            return self._remembered(text)
        return self._whole(text)

    def _remembered(self, text: str) -> list[int]:
        tokens: list[int] = []
        known = self._known
        for word in _WORDS.findall(text.lower()):
            found = known.get(word)
            tokens += self._learnt(word) if found is None else found
        return tokens

    def _learnt(self, word: str) -> tuple[int, ...]:
        numbers = self._numbers
        found = tuple([numbers[token] for token in self._whole(word)])
        if len(word) <= LONGEST:
            if len(self._known) >= MOST_WORDS:
                self._known.clear()
            self._known[word] = found
        return found

    def _whole(self, text: str) -> list[int]:
        found: list[int] = self._tokenizer.encode(readable(text), add_special_tokens=False).ids
        return found
