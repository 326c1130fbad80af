"""Route to a subset of the experts, as after pruning; the others may have substitutes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

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
        closed, numbers = self._tables(logits)
        steering = closed if self.inner.steering is None else self.inner.steering + closed
        routed = replace(self.inner, steering=steering).route(logits.float() + closed)
        # Where fewer are open than slots, the rest got experts that are not there.
        ids = torch.where(routed.ids < 0, -1, numbers[routed.ids.clamp(min=0).long()])
        weights = torch.where(ids < 0, 0.0, routed.weights)
        return Routed(ids.int(), weights, routed.residual)

    def _tables(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """By expert, -inf where it is closed, and who computes; made once and kept where they are
        used, because a CUDA graph can't record a copy from the host's pageable memory.
        """
        key = (logits.shape[-1], logits.device)
        if key not in self._made:
            experts = logits.shape[-1]
            closed = torch.full((experts,), -torch.inf, dtype=torch.float32, device="cpu")
            closed[[*self.kept, *self.substitutes]] = 0.0
            numbers = torch.full((experts,), -1, device="cpu")
            places = {kept: at if self.compact else kept for at, kept in enumerate(self.kept)}
            for expert in (*self.kept, *self.substitutes):
                numbers[expert] = places[self.substitutes.get(expert, expert)]
            self._made[key] = closed.to(logits.device), numbers.to(logits.device)
        return self._made[key]

    @cached_property
    def _made(self) -> dict[tuple[int, torch.device], tuple[Tensor, Tensor]]:
        return {}
