"""A transformers Mixtral whose experts run on our kernels from a quantised checkpoint.

So the quality of a quantised folder is judged with the arithmetic that serves it (int8 activations
too), without an engine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from collegium.kernels.moe import fused_experts, pack
from collegium.kernels.moe.formats import Format
from collegium.kernels.moe.packed import PackedExperts


class KernelExperts(nn.Module):
    """In the place of `MixtralExperts`."""

    def __init__(self, packed: PackedExperts) -> None:
        super().__init__()
        self.packed = packed

    def forward(self, hidden_states: Tensor, top_k_index: Tensor, top_k_weights: Tensor) -> Tensor:
        """(tokens, hidden), and each token's experts and weights (tokens, k)."""
        return fused_experts(hidden_states, self.packed, top_k_index, top_k_weights)


def use_kernels(model: Any, folder: Path) -> None:
    """Replace a model's experts, in place, by those of a quantised folder of the same model."""
    tensors = load_file(folder / "model.safetensors")
    for number, layer in enumerate(model.model.layers):
        prefix = f"model.layers.{number}.block_sparse_moe.experts"
        layer.mlp.experts = KernelExperts(
            packed_layer(tensors, prefix, layer.mlp.experts.num_experts)
        )


def packed_layer(tensors: dict[str, Tensor], prefix: str, experts: int) -> PackedExperts:
    """One layer's experts from a checkpoint's codes and scales."""
    int4 = f"{prefix}.0.w1.weight_packed" in tensors

    def all_of(name: str, part: str) -> Tensor:
        return torch.stack([tensors[f"{prefix}.{e}.{name}.{part}"] for e in range(experts)])

    def codes(name: str) -> Tensor:
        # An int32 of eight nibbles, the first lowest, is four bytes of two, the first lowest.
        return all_of(name, "weight_packed").view(torch.uint8) if int4 else all_of(name, "weight")

    return pack(
        torch.cat([codes("w1"), codes("w3")], dim=1),
        codes("w2"),
        format=Format.INT4 if int4 else Format.INT8,
        w13_scale=torch.cat([all_of(n, "weight_scale") for n in ("w1", "w3")], dim=1).float(),
        w2_scale=all_of("w2", "weight_scale").float(),
    )
