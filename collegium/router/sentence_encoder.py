"""A sentence-transformers model run by OpenVINO, without PyTorch.

docs/decisions/0014-openvino-reads-queries.md says what it is measured against.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from collegium.experts.embedded import encoder_path
from collegium.extras import require
from collegium.router.encoder_graph import GRAPH, INPUTS, TOKENIZER, ensure_graph
from collegium.router.vectors import Floats, readable, unit_rows

MOST_CHARACTERS = 4_000  # MiniLM reads 256 tokens; more text would only be tokenised in vain
LENGTHS = 16
"""Lengths are rounded up to multiples: OpenVINO prepares each new shape, which takes 6 ms."""
TOKENS_AT_ONCE = 384
"""A token took 45 µs in 256 at once and 53 in 768: what lies between layers leaves the cache."""


class SentenceEncoder:
    """Turns texts into vectors, on the CPU.

    The default weights are all-MiniLM-L6-v2, 384 dimensions (Reimers and Gurevych, arXiv
    1908.10084). OpenVINO multiplies in bfloat16 where the processor does; a vector then keeps a
    cosine above 0.9999 with that of float32.
    """

    reads_tokens = 256
    """The number of tokens after which texts are cut off."""

    def __init__(
        self,
        folder: Path,
        cache: Path,
        *,
        name: str = "minilm",
        threads: int | None = None,
    ) -> None:
        """Load the model in `folder`, converting it under `cache` if need be.

        SetupError when there is none. `threads` of None takes all cores.
        """
        import openvino
        from tokenizers import Tokenizer

        self.name = name
        graph = ensure_graph(folder, cache)
        # Pinned, the threads of all processes would share the first core.
        options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False}
        if threads is not None:
            options["INFERENCE_NUM_THREADS"] = threads
        self._model = openvino.Core().compile_model(graph / GRAPH, "CPU", options)
        self._tokenizer = Tokenizer.from_file(str(graph / TOKENIZER))

    def encode(self, texts: Sequence[str]) -> Floats:
        """Return one row of unit length a text, shape (n, d); long texts are cut."""
        cut = [readable(text[:MOST_CHARACTERS]) for text in texts]
        tokens = [found.ids for found in self._tokenizer.encode_batch(cut)]
        vectors: Floats = np.empty((len(texts), self._dimensions), dtype=np.float32)
        request = self._model.create_infer_request()  # one each: threads may share an encoder
        for rows in _together([len(ids) for ids in tokens]):
            vectors[rows] = request.infer(_padded([tokens[row] for row in rows]))[0]
        return unit_rows(vectors)

    @property
    def _dimensions(self) -> int:
        return int(self._model.output(0).partial_shape[1].get_length())


def minilm(cache: Path, threads: int | None) -> SentenceEncoder:
    """The bundled encoder, as an extension."""
    require("encoders", "the encoder 'minilm'")
    return SentenceEncoder(encoder_path(), cache, threads=threads)


def _together(lengths: Sequence[int]) -> list[list[int]]:
    """Group texts of similar length, up to `TOKENS_AT_ONCE` tokens per batch."""
    groups: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        if groups and (len(groups[-1]) + 1) * _rounded(lengths[row]) <= TOKENS_AT_ONCE:
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def _rounded(length: int) -> int:
    return -(-length // LENGTHS) * LENGTHS


def _padded(tokens: Sequence[Sequence[int]]) -> dict[str, Any]:
    """The model's inputs, each of shape (n, rounded length)."""
    shape = len(tokens), _rounded(max(map(len, tokens)))
    ids, mask, types = (np.zeros(shape, dtype=np.int64) for _ in INPUTS)
    for row, found in enumerate(tokens):
        ids[row, : len(found)] = found
        mask[row, : len(found)] = 1
    return dict(zip(INPUTS, (ids, mask, types), strict=True))
