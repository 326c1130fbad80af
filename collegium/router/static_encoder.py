"""A static encoder derived from MiniLM: a text is the weighted mean of its tokens' vectors.

Each token's vector is what MiniLM's first layer sees of it. The table ships with the package (one
byte a number, 12 MB), so nothing is downloaded, converted or run, and PyTorch is not needed.
docs/decisions/0006-static-encoder.md says what that costs in quality, and what else was tried;
`collegium train static-encoder` makes the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from collegium.errors import SetupError
from collegium.router.vectors import Floats, unit_rows
from collegium.router.word_tokens import WordTokens

NAME = "static-2"
"""Raise the number whenever vectors change: a router that was fitted on others is then refused."""
WEIGHTS = Path(__file__).parent / "weights" / "encoder"
TABLE, TOKENIZER = "vectors.safetensors", "tokenizer.json"
VECTORS, SCALES = "vectors", "scales"
MOST_CHARACTERS = 2_000  # twice what MiniLM reads; a longer text is known by its two ends
UNKNOWN = "[UNK]"


class StaticEncoder:
    """Sums token vectors (model2vec's idea; Tulkens and van Dongen, 2024); no network is run."""

    name = NAME
    quick = True

    def __init__(self, tokenizer: Any, vectors: Floats) -> None:
        """Take a `tokenizers.Tokenizer` and weighted token vectors, shape (vocabulary, d)."""
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokens = WordTokens(tokenizer)
        self._vectors = vectors
        self._nothing = [tokenizer.token_to_id(UNKNOWN)]

    def encode(self, texts: Sequence[str]) -> Floats:
        """Return one row a text, of unit length, shape (n, d)."""
        sums = np.empty((len(texts), self._vectors.shape[1]), dtype=np.float32)
        for row, text in enumerate(texts):
            sums[row] = self._vectors[self._tokens.of(ends(text)) or self._nothing].sum(axis=0)
        return unit_rows(sums)


def ends(text: str) -> str:
    """A text that is not too long; of longer ones the beginning and the end."""
    if len(text) <= MOST_CHARACTERS:
        return text
    half = MOST_CHARACTERS // 2
    return f"{text[:half]} {text[-half:]}"


def static_encoder(folder: Path = WEIGHTS) -> StaticEncoder:
    """Load the static encoder's table; raise SetupError if it is missing or damaged."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    try:
        table = load_file(folder / TABLE)
        tokenizer = Tokenizer.from_buffer((folder / TOKENIZER).read_bytes())
        # One byte a number keeps a text's cosine with its exact vector above 0.9998.
        vectors = table[VECTORS] * table[SCALES][:, None]
    except (OSError, SafetensorError, KeyError, ValueError) as exc:
        raise SetupError(f"{folder} contains no table of the static encoder: {exc}") from exc
    return StaticEncoder(tokenizer, vectors)


def static(_cache: Path, _threads: int | None) -> StaticEncoder:
    """The bundled static encoder, as an extension."""
    return static_encoder()
