"""The encoder interface: texts to vectors of unit length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class Encoder(Protocol):
    """Anything that turns texts into vectors of unit length."""

    name: str

    def encode(self, texts: Sequence[str]) -> Floats:
        """Return one row a text, shape (n, dimensions)."""


MakeEncoder = Callable[[Path, int | None], Encoder]
"""Creates an encoder from its cache folder and its number of threads."""


def is_quick(encoder: Encoder) -> bool:
    """Whether a query takes so little that the event loop can wait: `quick = True` in the class."""
    return bool(getattr(encoder, "quick", False))


def readable(text: str) -> str:
    """The text with a question mark for half a surrogate pair, which no tokenizer reads."""
    return text if text.isascii() else text.encode(errors="replace").decode()


def unit_rows(rows: Floats) -> Floats:
    """Scale each row to unit length."""
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)
