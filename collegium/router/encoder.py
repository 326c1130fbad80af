"""Turn queries into vectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from collegium.errors import SetupError
from collegium.experts.embedded import encoder_path

Floats = NDArray[np.float32]
MOST_CHARACTERS = 4_000  # MiniLM reads 256 tokens; more text would only be tokenised in vain
ENCODERS = ("minilm", "static")


class Encoder(Protocol):
    """Anything that turns texts into vectors of unit length."""

    name: str

    def encode(self, texts: Sequence[str]) -> Floats:
        """Return one row a text, shape (n, dimensions)."""


def is_quick(encoder: Encoder) -> bool:
    """Whether a query takes so little that the event loop can wait: `quick = True` in the class."""
    return bool(getattr(encoder, "quick", False))


class SentenceEncoder:
    """A sentence-transformers model from a folder, on the CPU.

    The default weights are all-MiniLM-L6-v2, 384 dimensions (Reimers and Gurevych, arXiv
    1908.10084). Processors that multiply bfloat16 do so: a query takes three quarters of the time,
    and its vector keeps a cosine above 0.9999 with that of float32. (8-bit weights are faster
    still, but only 0.91 of the vector is left.)
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str = "minilm",
        threads: int | None = None,
        bfloat16: bool | None = None,
    ) -> None:
        import torch
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        if threads is not None:
            torch.set_num_threads(threads)
        self.name = name
        self._model: Any = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
        if multiplies_bfloat16() if bfloat16 is None else bfloat16:
            self._model = self._model.to(torch.bfloat16)

    def encode(self, texts: Sequence[str]) -> Floats:
        """Encode in batches of 32; long texts are cut."""
        cut = [text[:MOST_CHARACTERS] for text in texts]
        vectors = self._model.encode(cut, convert_to_tensor=True, show_progress_bar=False)
        rows = np.asarray(vectors.float().numpy(), dtype=np.float32)
        return unit_rows(rows)


def unit_rows(rows: Floats) -> Floats:
    """Scale each row to unit length."""
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def multiplies_bfloat16() -> bool:
    """Whether this processor has instructions for it; elsewhere it would be slower."""
    import torch

    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def make_encoder(name: str, *, threads: int | None = None) -> Encoder:
    """Make the encoder that the setting `encoder` names; `threads` are torch's, process-wide."""
    if name == "minilm":
        return SentenceEncoder(encoder_path(), threads=threads)
    if name == "static":
        from collegium.router.static_encoder import static_encoder

        return static_encoder(encoder_path())
    raise SetupError(f"there is no encoder '{name}'; there are: {', '.join(ENCODERS)}")
