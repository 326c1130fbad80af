"""The fused experts in plain torch: the reference for the kernels, and the fallback.

Sums are torch's, so their last bits depend on the batch; only the kernels promise that they don't.
"""

from __future__ import annotations

import torch
from torch import Tensor

from collegium.errors import KernelMisuse
from collegium.kernels.moe.activations import Activation, activated
from collegium.kernels.moe.formats import Format
from collegium.kernels.moe.packed import PackedExperts, PackedMatrix, unpacked, unpacked_bias


def check_ids(ids: Tensor, experts: int) -> None:
    """Raise KernelMisuse if an id is neither -1 nor an expert's."""
    if ids.numel() and (int(ids.min()) < -1 or int(ids.max()) >= experts):
        raise KernelMisuse(f"expert ids must be -1 to {experts - 1}: found {ids.min()}…{ids.max()}")


def forward(
    x: Tensor,
    packed: PackedExperts,
    ids: Tensor,
    weights: Tensor,
    activation: Activation,
    residual: Tensor | None = None,
) -> Tensor:
    """Float32 (tokens, hidden); arguments as in `ops.fused_experts`."""
    check_ids(ids, packed.experts)
    x = x.float()
    out = torch.zeros_like(x) if residual is None else residual.float()[:, None] * x
    for expert in sorted(set(ids.flatten().tolist()) - {-1}):
        tokens, slots = torch.nonzero(ids == expert, as_tuple=True)
        inner = _product(x[tokens], packed, packed.up, expert, gated=packed.gated)
        inner = activated(inner, activation, gated=packed.gated)
        found = _product(inner, packed, packed.down, expert, gated=False)
        out.index_add_(0, tokens, found * weights[tokens, slots].float()[:, None])
    return out


def _product(
    rows: Tensor, packed: PackedExperts, matrix: PackedMatrix, expert: int, *, gated: bool
) -> Tensor:
    """Rows as the kernels see them, times one expert's matrix, plus its bias."""
    product = _rounded(rows, packed.format) @ unpacked(matrix, packed.format, expert, gated=gated).T
    bias = unpacked_bias(matrix, expert, gated=gated)
    return product if bias is None else product + bias


def _rounded(rows: Tensor, form: Format) -> Tensor:
    """Round activations to what the format computes with: float32, bfloat16 or int8 a token."""
    if form is Format.FP32:
        return rows
    rows = rows.bfloat16().float()
    if not form.integer:
        return rows
    scale = rows.abs().amax(-1, keepdim=True) / 127
    return torch.where(scale > 0, (rows / scale).round() * scale, scale)
