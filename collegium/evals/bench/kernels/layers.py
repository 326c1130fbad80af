"""The layers and batches of `collegium bench kernels`."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

GROUP = 128  # of K, with one scale, in int4


@dataclass(frozen=True)
class Shape:
    """A layer: its experts, hidden and inner size, and experts a token."""

    name: str
    experts: int
    hidden: int
    inter: int
    k: int


SHAPES = (
    Shape("olmoe", 64, 2048, 1024, 8),  # OLMoE-1B-7B's
    Shape("quarter", 16, 2048, 1024, 8),  # of olmoe's experts, for small machines
    Shape("qwen3-30b-a3b", 128, 2048, 768, 8),
    Shape("mixtral", 8, 4096, 14336, 2),
    Shape("embedded", 6, 576, 1536, 2),  # the pool's mixture: SmolLM2-135M's feed-forward
)


@dataclass(frozen=True)
class Batch:
    """What all contenders get, bfloat16 and int32."""

    x: Tensor
    ids: Tensor
    weights: Tensor
    half: Tensor
    """`ids` without each token's later half, as top-p drops them: id -1."""

    def to(self, device: str) -> Batch:
        """The same on a device."""
        return Batch(*(t.to(device) for t in (self.x, self.ids, self.weights, self.half)))


def batch(shape: Shape, tokens: int, generator: torch.Generator) -> Batch:
    """Random tokens, each with different experts."""
    x = torch.randn(tokens, shape.hidden, generator=generator).bfloat16()
    ids = torch.rand(tokens, shape.experts, generator=generator).topk(shape.k).indices.int()
    weights = torch.softmax(torch.randn(tokens, shape.k, generator=generator), -1)
    half = ids.clone()
    half[:, (shape.k + 1) // 2 :] = -1
    return Batch(x, ids, weights, half)


def layer(shape: Shape) -> tuple[Tensor, Tensor]:
    """Random weights, bfloat16: gate and up (E, 2I, H), down (E, H, I)."""
    generator = torch.Generator().manual_seed(0)

    def matrix(rows: int, depth: int) -> Tensor:
        size = (shape.experts, rows, depth)
        # Made in bfloat16: Mixtral's layer would take 5.6 GB in float32.
        return torch.randn(size, generator=generator, dtype=torch.bfloat16).div_(depth**0.5)

    return matrix(2 * shape.inter, shape.hidden), matrix(shape.hidden, shape.inter)
