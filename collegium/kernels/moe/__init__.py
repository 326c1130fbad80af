"""Sparse mixture-of-experts layers on a CPU: pack the weights once, route, compute the experts."""

from collegium.kernels.moe.activations import Activation
from collegium.kernels.moe.formats import Format
from collegium.kernels.moe.ops import fused_experts, route
from collegium.kernels.moe.packed import PackedExperts, pack
from collegium.kernels.moe.routing import Gating, Scoring

__all__ = [
    "Activation",
    "Format",
    "Gating",
    "PackedExperts",
    "Scoring",
    "fused_experts",
    "pack",
    "route",
]
