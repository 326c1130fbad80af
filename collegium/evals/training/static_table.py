"""Derive the static encoder's table from a sentence encoder (docs/decisions/0006)."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from collegium.errors import SetupError
from collegium.router.static_encoder import SCALES, TABLE, TOKENIZER, VECTORS
from collegium.router.vectors import Floats

SMOOTHING = 1e-4
POSITIONS = 64  # the mean of the first position vectors stands for all positions
EPSILON = 1e-12  # as in MiniLM's own normalisation
MOST = 127  # of an int8


def write(model: Path, folder: Path) -> None:
    """Write the table of the BERT-like sentence encoder in `model`, and its tokenizer."""
    from safetensors.numpy import save

    vectors = distilled(model)
    scales = np.abs(vectors).max(axis=1) / MOST
    rows = np.round(vectors / scales[:, None]).astype(np.int8)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / TABLE).write_bytes(save({VECTORS: rows, SCALES: scales.astype(np.float32)}))
    shutil.copyfile(model / "tokenizer.json", folder / TOKENIZER)


def distilled(model: Path) -> Floats:
    """Return the weighted vector of each token, shape (vocabulary, d).

    A token weighs a / (a + p), p its share of all text: smooth inverse frequency (Arora et al.,
    "A simple but tough-to-beat baseline for sentence embeddings", ICLR 2017).
    """
    from safetensors import SafetensorError

    try:
        layer = _embedding_layer(model / "model.safetensors")
    except (OSError, SafetensorError) as exc:
        raise SetupError(f"{model} contains no sentence encoder: {exc}") from exc
    vectors = first_layer(layer)
    return vectors * zipf_weights(len(vectors))[:, None]


def _embedding_layer(file: Path) -> dict[str, Floats]:
    """Read the embedding layer's arrays, without the rest of the model."""
    from safetensors import safe_open

    prefix = "embeddings."
    with safe_open(str(file), framework="numpy") as tensors:
        names = [name for name in tensors.keys() if name.startswith(prefix)]  # noqa: SIM118
        return {name.removeprefix(prefix): tensors.get_tensor(name) for name in names}


def first_layer(layer: dict[str, Floats]) -> Floats:
    """Return the first layer's input for each token near the start, shape (v, d)."""
    place = layer["position_embeddings.weight"][:POSITIONS].mean(axis=0)
    place = place + layer["token_type_embeddings.weight"][0]
    rows = layer["word_embeddings.weight"] + place
    centred = rows - rows.mean(axis=1, keepdims=True)
    spread = np.sqrt(rows.var(axis=1, keepdims=True) + EPSILON)
    return np.asarray(centred / spread * layer["LayerNorm.weight"] + layer["LayerNorm.bias"])


def zipf_weights(vocabulary: int) -> Floats:
    """Return weights by rank: a WordPiece vocabulary is roughly in order of frequency, and by
    Zipf's law the r-th token has the share 1 / (r ln v).
    """
    rank = np.arange(1, vocabulary + 1)
    share = 1 / (rank * np.log(vocabulary))
    return np.asarray(SMOOTHING / (SMOOTHING + share), dtype=np.float32)
