"""Top-k routing with the variations that models use."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from collegium.errors import KernelMisuse
from collegium.kernels.moe.ops import route
from collegium.kernels.moe.policies.base import Routed
from collegium.kernels.moe.routing import Gating


@dataclass(frozen=True)
class TopK:
    """Top-k by a model's own rule (`gating`, dynamic top-p included).

    `bias` (experts,) counts for the choice and not for the weights, as DeepSeek-V3's (arXiv
    2412.19437). `steering` (experts,) is a bias of ours on top of it: it makes a domain's experts
    likelier, and is given in units of the scores.
    """

    gating: Gating
    bias: Tensor | None = None
    steering: Tensor | None = None
    row_local = True

    def route(self, logits: Tensor) -> Routed:
        """Choose by score plus biases; weigh by score."""
        ids, weights = route(logits, self.gating, self._selection(logits.shape[-1]))
        return Routed(ids, weights)

    def _selection(self, experts: int) -> Tensor | None:
        if self.steering is None:
            return self.bias
        if self.steering.shape != (experts,):
            raise KernelMisuse(f"steering must be ({experts},), not {tuple(self.steering.shape)}")
        return self.steering if self.bias is None else self.bias + self.steering
