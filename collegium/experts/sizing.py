"""The context window of a model that runs here: the checkpoint's own, as far as memory allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from collegium.errors import ProbeFailed
from collegium.experts.checkpoint import GIB, Checkpoint, read_checkpoint
from collegium.experts.memory import weights_gib
from collegium.experts.placement.plan import Card, Need
from collegium.experts.vllm import whole_gib

BLOCK = 16
"""Tokens per block of vLLM's KV cache; a window is a whole number of blocks."""
SHORTEST = 2048
"""The window of a model whose checkpoint does not state one."""


def context_of(
    folder: Path, cache_gib: float, dtype: str, cards: Sequence[Card] = ()
) -> int | None:
    """Return the longest window in this precision, in tokens; None if the model's shape is unknown.

    Raises ProbeFailed if not even one block fits. On a processor one request may fill the whole
    cache; on GPUs it may fill the memory that the weights leave on as many cards as can share the
    model.
    """
    try:
        shape = read_checkpoint(folder)
    except ProbeFailed:
        return None  # vLLM may know it
    shape = replace(shape, dtype=dtype, weights_gib=weights_gib(folder, dtype))
    made_for = shape.context or SHORTEST
    most = max((_most(shape, t, cards) for t in _degrees(shape, cards)), default=0)
    if not cards:
        most = int(whole_gib(cache_gib) * GIB / shape.kv_bytes())
    if most < BLOCK:
        raise ProbeFailed(f"the model in '{folder}' leaves no memory for a request's KV cache")
    return made_for if made_for <= most else most // BLOCK * BLOCK


def _degrees(shape: Checkpoint, cards: Sequence[Card]) -> tuple[int, ...]:
    return Need("", shape).degrees(len(cards))


def _most(shape: Checkpoint, degree: int, cards: Sequence[Card]) -> int:
    """Return the number of tokens that fit beside the weights on the cards with most memory."""
    roomy = sorted((card.usable_gib for card in cards), reverse=True)[degree - 1]
    empty = Need("", shape, sequences=0, context=0).gib_on(degree)
    return int((roomy - empty) * GIB / shape.kv_bytes(degree))
