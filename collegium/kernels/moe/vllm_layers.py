"""The torch op through which vLLM's layers reach our kernels, opaque to its tracing.

An op takes tensors and numbers, so each layer's packed weights have a number here. What happens
inside is not traced: statistics are counted there.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from collegium.kernels.moe.ops import fused_experts
from collegium.kernels.moe.packed import PackedExperts
from collegium.kernels.moe.statistics import LayerStatistics


@dataclass
class Layer:
    """One layer's experts, and its statistics if they are wanted."""

    packed: PackedExperts
    statistics: LayerStatistics | None = None


# A process has one model, and torch's ops are global anyway.
_LAYERS: list[Layer] = []


def add_layer(packed: PackedExperts, *, statistics: bool = False) -> int:
    """Remember a layer and return its number."""
    counted = LayerStatistics(packed.experts) if statistics else None
    _LAYERS.append(Layer(packed, counted))
    return len(_LAYERS) - 1


def layers() -> tuple[Layer, ...]:
    """All layers by number."""
    return tuple(_LAYERS)


@torch.library.custom_op("collegium::moe_layer", mutates_args=("out",))
def moe_layer(
    out: Tensor, x: Tensor, ids: Tensor, weights: Tensor, layer: int, activation: str
) -> None:
    """Write the experts' weighted sum of x (tokens, hidden) to `out`, of the same shape."""
    known = _LAYERS[layer]
    if known.statistics is not None:
        known.statistics.observe(ids, weights)
    out.copy_(fused_experts(x, known.packed, ids, weights, activation))
