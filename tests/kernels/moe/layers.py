"""Small random layers for the kernels' tests, the same in every run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from collegium.kernels.moe import PackedExperts, pack
from collegium.kernels.moe.formats import Format


@dataclass(frozen=True)
class Layer:
    """A layer's float weights, and its packed form."""

    w13: Tensor
    w2: Tensor
    packed: PackedExperts


def noise(seed: int, *shape: int) -> Tensor:
    """Standard normal float32."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@cache
def layer(
    form: Format | str = Format.BF16,
    *,
    experts: int = 4,
    hidden: int = 96,
    inter: int = 80,
    gated: bool = True,
    bias: bool = False,
    interleaved: bool = False,
    group: int = 32,
) -> Layer:
    """Make a layer whose outputs are about as large as its inputs."""
    rows = 2 * inter if gated else inter
    w13 = noise(1, experts, rows, hidden) / hidden**0.5
    w2 = noise(2, experts, hidden, inter) / inter**0.5
    packed = pack(
        w13, w2, format=form, gated=gated, interleaved=interleaved, group=group,
        w13_bias=noise(3, experts, rows) if bias else None,
        w2_bias=noise(4, experts, hidden) if bias else None,
    )  # fmt: skip
    return Layer(w13, w2, packed)


def routed(seed: int, tokens: int, experts: int, k: int) -> tuple[Tensor, Tensor]:
    """Random different experts and positive weights."""
    ids = noise(seed, tokens, experts).argsort(-1)[:, :k].int()
    return ids, torch.softmax(noise(seed + 1, tokens, k), -1)
