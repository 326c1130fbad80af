"""vLLM 0.32's CPU router with its gaps closed.

Stock, a bias and a scaling factor without groups are ignored (ERNIE-4.5), sigmoid scores without
groups fail an assertion (MiniMax-M2), and sqrt-softplus takes some numbers of experts only. All
that it computes rightly stays as it is.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from vllm.model_executor.layers.fused_moe.router import router_factory
from vllm.model_executor.layers.fused_moe.router.cpu_router import CPURouter

from collegium.kernels.moe.ops import route
from collegium.kernels.moe.routing import Gating, Scoring


class CompleteRouter(CPURouter):
    """Ungrouped top-k with any scores, a bias for the choice and a scaling factor."""

    def _compute_routing(
        self, hidden_states: Tensor, router_logits: Tensor, indices_type: Any, **named: Any
    ) -> tuple[Tensor, Tensor]:
        bias = self.e_score_correction_bias
        known = self.use_grouped_topk or self.custom_routing_function is not None
        plain = self.scoring_func == "softmax" and bias is None
        if known or plain or self._hash_indices_table is not None:
            stock: tuple[Tensor, Tensor] = super()._compute_routing(
                hidden_states, router_logits, indices_type, **named
            )
            return stock
        gating = Gating(
            self.top_k,
            scoring=Scoring(self.scoring_func),
            renormalise=self.renormalize,
            scale=self.routed_scaling_factor,
        )
        ids, weights = route(router_logits, gating, bias)
        return weights, ids


def install() -> None:
    """Let vLLM's factory make our router for CPUs."""
    router_factory.CPURouter = CompleteRouter
