"""Turn queries into vectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from collegium.errors import SetupError
from collegium.experts.embedded import encoder_path
from collegium.settings import load_settings

Floats = NDArray[np.float32]
ENCODERS = ("minilm", "static")


class Encoder(Protocol):
    """Anything that turns texts into vectors of unit length."""

    name: str

    def encode(self, texts: Sequence[str]) -> Floats:
        """Return one row a text, shape (n, dimensions)."""


def is_quick(encoder: Encoder) -> bool:
    """Whether a query takes so little that the event loop can wait: `quick = True` in the class."""
    return bool(getattr(encoder, "quick", False))


def unit_rows(rows: Floats) -> Floats:
    """Scale each row to unit length."""
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def make_encoder(name: str, *, cache: Path | None = None, threads: int | None = None) -> Encoder:
    """Make the encoder that the setting `encoder` names.

    What is made for it lies under `cache`, by default where the settings say; `threads` are those
    that it computes with, None takes all cores.
    """
    if name == "minilm":
        from collegium.router.sentence_encoder import SentenceEncoder

        return SentenceEncoder(encoder_path(), cache or load_settings().cache_dir, threads=threads)
    if name == "static":
        from collegium.router.static_encoder import static_encoder

        return static_encoder(encoder_path())
    raise SetupError(f"there is no encoder '{name}'; there are: {', '.join(ENCODERS)}")
