"""vLLM 0.32's CPU router with missing features added, and with the declared policy.

Stock, a bias and a scaling factor without groups are ignored (ERNIE-4.5), sigmoid scores without
groups fail an assertion (MiniMax-M2), and sqrt-softplus takes some numbers of experts only. All
that it computes rightly stays as it is, but under a policy, which routes by our own code.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from vllm.config import get_current_vllm_config
from vllm.model_executor.custom_op import op_registry_oot
from vllm.model_executor.layers.fused_moe.router import router_factory
from vllm.model_executor.layers.fused_moe.router.cpu_router import CPURouter
from vllm.model_executor.layers.fused_moe.runner.moe_runner import MoERunner
from vllm.model_executor.models.utils import extract_layer_index

from collegium.errors import SetupError
from collegium.kernels.moe.ops import route
from collegium.kernels.moe.routing import Gating, Scoring
from collegium.kernels.moe.vllm_layers import add_policy
from collegium.kernels.moe.vllm_methods import TakenOver
from collegium.kernels.token_policy import TokenPolicy, in_engine


class CompleteRouter(CPURouter):
    """Top-k with any scores, a bias for the choice and a scaling factor; or a declared policy."""

    declared: TokenPolicy | None = None
    seat: int | None = None

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        declared = in_engine(get_current_vllm_config().additional_config).token_policy
        self.declared = declared if declared is not None and declared.routes else None

    def take_seat(self, layer: int) -> None:
        """Let the declared policy route, with its rules for this layer."""
        if self.declared is None:
            return
        if self.custom_routing_function is not None or self._hash_indices_table is not None:
            raise SetupError(
                "a token policy can't route a model with a routing function of its own"
            )
        self.seat = add_policy(self.declared.of(layer), self.gating, self.global_num_experts)

    @property
    def gating(self) -> Gating:
        """Return the model's own gating rule."""
        groups = (self.num_expert_group, self.topk_group) if self.use_grouped_topk else (0, 0)
        return Gating(
            self.top_k,
            scoring=Scoring(self.scoring_func),
            renormalise=self.renormalize,
            scale=self.routed_scaling_factor,
            groups=groups[0] or 0,
            top_groups=groups[1] or 0,
        )

    def _compute_routing(
        self, hidden_states: Tensor, router_logits: Tensor, indices_type: Any, **named: Any
    ) -> tuple[Tensor, Tensor]:
        bias = self.e_score_correction_bias
        if self.seat is not None:
            routed: tuple[Tensor, Tensor] = torch.ops.collegium.moe_route(
                router_logits, bias, self.seat, self.top_k
            )
            return routed
        if self.declared is not None:
            raise SetupError("a token policy is declared, and this model's layers don't take one")
        known = self.use_grouped_topk or self.custom_routing_function is not None
        plain = self.scoring_func == "softmax" and bias is None
        if known or plain or self._hash_indices_table is not None:
            stock: tuple[Tensor, Tensor] = super()._compute_routing(
                hidden_states, router_logits, indices_type, **named
            )
            return stock
        ids, weights = route(router_logits, self.gating, bias)
        return weights, ids


class CollegiumRunner(MoERunner):
    """vLLM's sparse layer, where both the router and the layer's name are known."""

    def __init__(self, *args: Any, router: Any, routed_experts: Any, **named: Any) -> None:
        super().__init__(*args, router=router, routed_experts=routed_experts, **named)
        if getattr(router, "declared", None) is None:
            return
        if not isinstance(routed_experts.quant_method, TakenOver):
            # vLLM's own kernels read out of bounds at a skipped slot's id.
            raise SetupError(
                "a token policy needs Collegium's kernels, which don't take this layer"
            )
        router.take_seat(extract_layer_index(self.layer_name))


def install() -> None:
    """Register our routers and layers for CPUs; idempotent, since plugins are loaded more than
    once.
    """
    router_factory.CPURouter = CompleteRouter
    if op_registry_oot.get(MoERunner.__name__) is not CollegiumRunner:
        MoERunner.register_oot(CollegiumRunner)
