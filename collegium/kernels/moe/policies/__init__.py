"""Routing policies: rules over gate logits, each row-local or not."""

from collegium.kernels.moe.policies.base import Policy, Routed, require_row_local
from collegium.kernels.moe.policies.capacity import Capacity
from collegium.kernels.moe.policies.null_experts import NullExperts
from collegium.kernels.moe.policies.subset import Subset
from collegium.kernels.moe.policies.top_k import TopK

__all__ = [
    "Capacity",
    "NullExperts",
    "Policy",
    "Routed",
    "Subset",
    "TopK",
    "require_row_local",
]
