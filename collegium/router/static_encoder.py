"""A static encoder taken out of MiniLM: a text is the weighted mean of its tokens' vectors.

Each token's vector is what MiniLM's first layer sees of it, so nothing is trained, downloaded or
run: the table is read from the model's file in well under a second, the same on every machine.
docs/decisions/0006-static-encoder.md says what that costs in quality, and what else was tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from collegium.errors import SetupError
from collegium.router.vectors import Floats, unit_rows
from collegium.router.word_tokens import WordTokens

NAME = "static-1"
"""Raise the number whenever vectors change: a router that was fitted on others is then refused."""
MOST_CHARACTERS = 2_000  # twice what MiniLM reads; a longer text is known by its two ends
SMOOTHING = 1e-4
POSITIONS = 64  # the mean of so many position vectors stands for "somewhere near the start"
EPSILON = 1e-12  # as in MiniLM's own normalisation
UNKNOWN = "[UNK]"


class StaticEncoder:
    """Sums token vectors (model2vec's idea; Tulkens and van Dongen, 2024); no network is run.

    A token weighs a / (a + p), p its share of all text: smooth inverse frequency (Arora et al.,
    "A simple but tough-to-beat baseline for sentence embeddings", ICLR 2017).
    """

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


def static_encoder(folder: Path) -> StaticEncoder:
    """Make the static encoder of the BERT-like sentence encoder in `folder`."""
    from safetensors import SafetensorError
    from tokenizers import Tokenizer

    try:
        layer = _embedding_layer(folder / "model.safetensors")
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except (OSError, SafetensorError) as exc:
        raise SetupError(f"{folder} holds no sentence encoder to distil: {exc}") from exc
    vectors = first_layer(layer)
    return StaticEncoder(tokenizer, vectors * zipf_weights(len(vectors))[:, None])


def _embedding_layer(file: Path) -> dict[str, Floats]:
    """Read the embedding layer's arrays, without the rest of the model."""
    from safetensors import safe_open

    prefix = "embeddings."
    with safe_open(str(file), framework="numpy") as tensors:
        names = [name for name in tensors.keys() if name.startswith(prefix)]  # noqa: SIM118
        return {name.removeprefix(prefix): tensors.get_tensor(name) for name in names}


def first_layer(layer: dict[str, Floats]) -> Floats:
    """What enters the first layer for each token somewhere near the start, shape (v, d)."""
    place = layer["position_embeddings.weight"][:POSITIONS].mean(axis=0)
    place = place + layer["token_type_embeddings.weight"][0]
    rows = layer["word_embeddings.weight"] + place
    centred = rows - rows.mean(axis=1, keepdims=True)
    spread = np.sqrt(rows.var(axis=1, keepdims=True) + EPSILON)
    return np.asarray(centred / spread * layer["LayerNorm.weight"] + layer["LayerNorm.bias"])


def zipf_weights(vocabulary: int) -> Floats:
    """Weights by rank: a WordPiece vocabulary is roughly in order of frequency, and Zipf's law
    gives the r-th token the share 1 / (r ln v)."""
    rank = np.arange(1, vocabulary + 1)
    share = 1 / (rank * np.log(vocabulary))
    return np.asarray(SMOOTHING / (SMOOTHING + share), dtype=np.float32)
