"""Top-k gating in torch: each token's experts and their weights.

Each row's result depends on that row only, and equal scores are settled by the lowest expert id, so
neither the batch nor the order of its rows can change where a token goes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor

from collegium.errors import KernelMisuse
from collegium.kernels.moe.formats import split


class Scoring(StrEnum):
    """How logits become scores."""

    SOFTMAX = "softmax"
    SIGMOID = "sigmoid"
    SQRT_SOFTPLUS = "sqrtsoftplus"


@dataclass(frozen=True)
class Gating:
    """A model's gating; the defaults are OLMoE's.

    `scale` multiplies the weights at the end (`routed_scaling_factor`). Of `groups` equal groups
    of experts only the best `top_groups` count (0: no groups), a group being as good as its best
    expert, or as the sum of its best two where a bias is given (DeepSeek-V3). `top_p` below 1 keeps
    the first slots, best first, until they have that share of the weight; the others get id -1.
    """

    k: int
    scoring: Scoring = Scoring.SOFTMAX
    renormalise: bool = False
    scale: float = 1.0
    groups: int = 0
    top_groups: int = 0
    top_p: float = 1.0

    def check(self, experts: int) -> None:
        """Raise KernelMisuse for invalid numbers."""
        if not 1 <= self.k <= experts:
            raise KernelMisuse(f"k must be 1 to {experts}, the number of experts, not {self.k}")
        if not 0 < self.top_p <= 1:
            raise KernelMisuse(f"top_p must be above 0 and at most 1, not {self.top_p}")
        if self.groups and (experts % self.groups or not 0 < self.top_groups <= self.groups):
            raise KernelMisuse(f"{experts} experts can't be in {self.groups} groups of equal size")
        if self.groups and self.k > experts // self.groups * self.top_groups:
            raise KernelMisuse(f"{self.top_groups} groups hold fewer than {self.k} experts")


def scores(logits: Tensor, scoring: Scoring) -> Tensor:
    """Float32 scores of logits (tokens, experts)."""
    logits = logits.float()
    if scoring is Scoring.SOFTMAX:
        return torch.softmax(logits, -1)
    if scoring is Scoring.SIGMOID:
        return torch.sigmoid(logits)
    return torch.nn.functional.softplus(logits).sqrt()


def gate(logits: Tensor, gating: Gating, bias: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Ids int32 and weights float32, both (tokens, k), best first; `bias` only selects."""
    gating.check(logits.shape[-1])
    score = scores(logits, gating.scoring)
    chosen_by = score if bias is None else score + bias.float()
    if gating.groups:
        chosen_by = _best_groups(chosen_by, gating, best=1 if bias is None else 2)
    ids = torch.argsort(chosen_by, dim=-1, descending=True, stable=True)[:, : gating.k]
    weights = score.gather(-1, ids)
    keep = kept(weights, gating.top_p)
    weights = torch.where(keep, weights, 0.0)
    if gating.renormalise:
        weights = weights / weights.sum(-1, keepdim=True).clamp_min(1e-20)
    return torch.where(keep, ids, -1).int(), weights * gating.scale


def _best_groups(chosen_by: Tensor, gating: Gating, best: int) -> Tensor:
    grouped = split(chosen_by, -1, gating.groups, -1)
    merit = grouped.topk(min(best, grouped.shape[-1]), -1).values.sum(-1)
    order = torch.argsort(merit, dim=-1, descending=True, stable=True)[:, : gating.top_groups]
    open_ = torch.zeros_like(merit, dtype=torch.bool).scatter_(-1, order, True)
    return torch.where(open_[..., None], grouped, -torch.inf).flatten(-2)


def kept(weights: Tensor, top_p: float) -> Tensor:
    """Return which slots (tokens, k) are kept: those before `top_p` of the mass is reached."""
    if top_p >= 1:
        return torch.ones_like(weights, dtype=torch.bool)
    before = weights.cumsum(-1) - weights
    return before < top_p * weights.sum(-1, keepdim=True)
