"""The activations between the two projections of an expert, by name."""

from __future__ import annotations

from enum import StrEnum

import torch
from torch import Tensor
from torch.nn import functional as F

SWIGLU_ALPHA, SWIGLU_LIMIT = 1.702, 7.0  # gpt-oss


class Activation(StrEnum):
    """Each has a gated form (gate and up) and an ungated one; swigluoai is gated only."""

    SILU = "silu"
    GELU = "gelu"
    GELU_TANH = "gelu_tanh"
    RELU2 = "relu2"
    SWIGLUOAI = "swigluoai"


def activated(rows: Tensor, activation: Activation, *, gated: bool) -> Tensor:
    """(rows, 2I), gate before up, to (rows, I); ungated (rows, I) to (rows, I)."""
    if not gated:
        return _curve(rows, activation)
    gate, up = rows.chunk(2, -1)
    if activation is Activation.SWIGLUOAI:
        gate, up = gate.clamp(max=SWIGLU_LIMIT), up.clamp(-SWIGLU_LIMIT, SWIGLU_LIMIT)
        return (up + 1) * gate * torch.sigmoid(SWIGLU_ALPHA * gate)
    return _curve(gate, activation) * up


def _curve(x: Tensor, activation: Activation) -> Tensor:
    if activation is Activation.RELU2:
        return F.relu(x).square()
    if activation is Activation.SILU:
        return F.silu(x)
    return F.gelu(x, approximate="tanh" if activation is Activation.GELU_TANH else "none")
