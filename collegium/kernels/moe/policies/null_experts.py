"""Null experts: slots without weights, so that easy tokens use fewer experts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from collegium.kernels.moe.policies.base import Policy, Routed


@dataclass(frozen=True)
class NullExperts:
    """The gate has more columns than there are experts: from `real` on they are weightless.

    `zero` adds nothing (AdaMoE, arXiv 2406.13233); `copy` adds the token itself by its weight
    (the identity experts of MoE++, arXiv 2410.07348, and LongCat-Flash, arXiv 2509.01322). Both
    leave id -1, which the kernels skip. `renormalise` lets the real experts' weights sum to one.
    """

    inner: Policy
    real: int
    kind: Literal["zero", "copy"] = "zero"
    renormalise: bool = False

    @property
    def row_local(self) -> bool:
        return self.inner.row_local

    def route(self, logits: Tensor) -> Routed:
        """Choose among all columns, keep the slots of real experts."""
        routed = self.inner.route(logits)
        null = routed.ids >= self.real
        residual = routed.residual
        if self.kind == "copy":
            copied = torch.where(null, routed.weights, 0.0).sum(dim=-1)
            residual = copied if residual is None else residual + copied
        weights = torch.where(null, 0.0, routed.weights)
        if self.renormalise:
            weights = weights / weights.sum(dim=-1, keepdim=True).clamp_min(1e-20)
        return Routed(torch.where(null, -1, routed.ids), weights, residual)
