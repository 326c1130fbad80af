"""Route to a subset of the experts, as after pruning; the others may have substitutes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from collegium.errors import KernelMisuse
from collegium.kernels.moe.policies.base import Routed
from collegium.kernels.moe.policies.top_k import TopK


@dataclass(frozen=True)
class Subset:
    """Route among `kept` experts only.

    An absent expert with a substitute is still chosen and its substitute computes (merged
    experts: M-SMoE, arXiv 2310.01334); one without leaves its place to the next best. `compact`
    numbers the kept experts anew, as a layer that holds no others does.
    """

    inner: TopK
    kept: tuple[int, ...]
    substitutes: Mapping[int, int] = field(default_factory=dict)
    compact: bool = False
    row_local = True

    def __post_init__(self) -> None:
        strangers = set(self.substitutes.values()) - set(self.kept)
        if strangers or not self.kept:
            raise KernelMisuse(f"substitutes must be kept experts: {sorted(strangers)} are not")

    def route(self, logits: Tensor) -> Routed:
        """Choose, then put substitutes in the place of who is absent."""
        experts = logits.shape[-1]
        closed = torch.full((experts,), -torch.inf)
        closed[[*self.kept, *self.substitutes]] = 0.0
        steering = closed if self.inner.steering is None else self.inner.steering + closed
        routed = replace(self.inner, steering=steering).route(logits.float() + closed)
        # Where fewer are open than slots, the rest got experts that are not there.
        numbers = self._numbers(experts)
        ids = torch.where(routed.ids < 0, -1, numbers[routed.ids.clamp(min=0).long()])
        weights = torch.where(ids < 0, 0.0, routed.weights)
        return Routed(ids.int(), weights, routed.residual)

    def _numbers(self, experts: int) -> Tensor:
        places = {kept: place if self.compact else kept for place, kept in enumerate(self.kept)}
        numbers = torch.full((experts,), -1)
        for expert in (*self.kept, *self.substitutes):
            numbers[expert] = places[self.substitutes.get(expert, expert)]
        return numbers
