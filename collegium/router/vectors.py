"""What every encoder is: texts in, vectors of unit length out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class Encoder(Protocol):
    """Anything that turns texts into vectors of unit length."""

    name: str

    def encode(self, texts: Sequence[str]) -> Floats:
        """Return one row a text, shape (n, dimensions)."""


def is_quick(encoder: Encoder) -> bool:
    """Whether a query takes so little that the event loop can wait: `quick = True` in the class."""
    return bool(getattr(encoder, "quick", False))


def readable(text: str) -> str:
    """The text with a question mark for half a surrogate pair, which no tokenizer reads."""
    return text if text.isascii() else text.encode(errors="replace").decode()


def unit_rows(rows: Floats) -> Floats:
    """Scale each row to unit length."""
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)
