"""Our Triton experts and token policies in vLLM on NVIDIA GPUs (0.32 and 0.33). Not run on a GPU.

vLLM asks `select_unquantized_moe_backend` for the class of a layer's experts. We answer first, in
the engine's worker: nothing here touches the GPU before a model is built. Layers that we don't
take stay vLLM's, with the reason in the log. The router is vLLM's own, unless a policy is declared.
"""

from __future__ import annotations

import functools
import os
from typing import Any

import torch
import vllm.envs as envs
import vllm.model_executor.layers.fused_moe.modular_kernel as mk
from torch import Tensor
from vllm.config import get_current_vllm_config
from vllm.config.compilation import CUDAGraphMode
from vllm.distributed import get_tensor_model_parallel_rank
from vllm.forward_context import get_forward_context, is_forward_context_available
from vllm.model_executor.custom_op import op_registry_oot
from vllm.model_executor.layers.fused_moe import unquantized_fused_moe_method
from vllm.model_executor.layers.fused_moe.activation import MoEActivation
from vllm.model_executor.layers.fused_moe.oracle import unquantized
from vllm.model_executor.layers.fused_moe.router.base_router import BaseRouter
from vllm.model_executor.layers.fused_moe.runner.moe_runner import MoERunner
from vllm.model_executor.layers.fused_moe.topk_weight_and_reduce import TopKWeightAndReduceNoOP
from vllm.model_executor.models.utils import extract_layer_index
from vllm.platforms import current_platform

from collegium.errors import SetupError
from collegium.kernels.moe import vllm_left
from collegium.kernels.moe.routing import Gating, Scoring
from collegium.kernels.moe.statistics import LayerStatistics
from collegium.kernels.moe.vllm_layers import (
    add_policy,
    counted,
    moe_route,
    serving,
    without_copies,
)
from collegium.kernels.moe.vllm_left import LEFT
from collegium.kernels.token_policy import Rules, in_engine

MOE_SWITCH = "COLLEGIUM_MOE"  # the plugin, which loads this module, has checked its value
ROUTERS = ("FusedTopKRouter", "FusedTopKBiasRouter", "GroupedTopKRouter")
"""vLLM's own whose rule a `Gating` can tell."""


class CollegiumTritonExperts(mk.FusedMoEExpertsModular):
    """Gated SiLU experts in float32, float16 or bfloat16."""

    statistics: LayerStatistics | None = None

    @staticmethod
    def activation_format() -> Any:
        """Tokens as they come."""
        return mk.FusedMoEActivationFormat.Standard

    @staticmethod
    def _supports_current_device() -> bool:
        return bool(current_platform.is_cuda())

    @staticmethod
    def _supports_no_act_and_mul() -> bool:
        return False

    @staticmethod
    def _supports_quant_scheme(weight_key: Any, activation_key: Any) -> bool:
        return (weight_key, activation_key) == (None, None)

    @staticmethod
    def _supports_activation(activation: MoEActivation) -> bool:
        return activation is MoEActivation.SILU

    @staticmethod
    def _supports_parallel_config(moe_parallel_config: Any) -> bool:
        config = moe_parallel_config
        return not (config.use_ep or config.enable_eplb or config.dp_size > 1)

    @staticmethod
    def _supports_batch_invariance() -> bool:
        return True

    def workspace_shapes(self, M: int, N: int, K: int, *_rest: Any) -> tuple[Any, Any, Any]:
        """The kernels allocate their own memory."""
        return (0,), (0,), (M, K)

    def finalize_weight_and_reduce_impl(self) -> Any:
        """The kernels have weighted and added up."""
        return TopKWeightAndReduceNoOP()

    def process_weights_after_loading(self, layer: Any) -> None:
        """Begin to count, in one of the ranks: all of them route alike."""
        if get_tensor_model_parallel_rank() == 0:
            weight = layer.w13_weight
            self.statistics = counted(layer.layer_name, len(weight), weight.device)
        if self.statistics is not None and not envs.VLLM_MOE_SKIP_PADDING:
            raise SetupError(
                "token statistics need VLLM_MOE_SKIP_PADDING=1 on a GPU: padding would count"
            )

    def apply(
        self,
        output: Tensor,
        hidden_states: Tensor,
        w1: Tensor,
        w2: Tensor,
        topk_weights: Tensor,
        topk_ids: Tensor,
        activation: Any,
        *_rest: Any,
        apply_router_weight_on_input: bool = False,
        **_named: Any,
    ) -> None:
        """Compute the layer; vLLM may have multiplied the inputs already."""
        from collegium.kernels.moe.triton_experts import fused_experts

        ids, weights, residual = without_copies(topk_ids, topk_weights)
        if self.statistics is not None and (serving() or _recording(ids)):
            self.statistics.observe(ids, weights, real_tokens(len(ids)))
        weights = torch.ones_like(weights) if apply_router_weight_on_input else weights
        on_gpu = hidden_states.is_cuda
        fused_experts(
            hidden_states, w1, w2, ids, weights,
            residual=residual, out=output, interpreted=not on_gpu,
        )  # fmt: skip


class PolicyRouter(BaseRouter):
    """Routes by a declared policy, with vLLM's own router's rule under it."""

    def __init__(self, stock: Any, rules: Rules) -> None:
        super().__init__(stock.top_k, stock.global_num_experts, eplb_state=stock.eplb_state)
        self._stock = stock
        self._on_host = rules.capacity is not None
        self._seat = add_policy(rules, gating_of(stock), stock.global_num_experts)

    @property
    def routing_method_type(self) -> Any:
        """What the model's is called."""
        return self._stock.routing_method_type

    def _compute_routing(
        self, hidden_states: Tensor, router_logits: Tensor, indices_type: Any, **_named: Any
    ) -> tuple[Tensor, Tensor]:
        bias = getattr(self._stock, "e_score_correction_bias", None)
        logits = router_logits
        if self._on_host:  # a capacity counts slots one after the other
            logits, bias = logits.cpu(), None if bias is None else bias.cpu()
        weights, ids = moe_route(logits, bias, self._seat, self.top_k)
        weights, ids = weights.to(router_logits.device), ids.to(router_logits.device)
        real = real_tokens(len(ids))
        if real is None:
            return weights, ids
        return weights, torch.where(real[:, None], ids, -1)


class CollegiumGpuRunner(MoERunner):
    """vLLM's sparse layer, whose router is ours under a declared policy."""

    def __init__(self, *args: Any, router: Any, routed_experts: Any, **named: Any) -> None:
        config = get_current_vllm_config()
        wanted = in_engine(config.additional_config)
        policy = wanted.token_policy
        routes = policy is not None and policy.routes
        if routes or wanted.statistics_file is not None:
            _require_ours(routed_experts.quant_method, named.get("moe_config"))
        if policy is not None and routes:
            name = named["layer_name"] if "layer_name" in named else args[0]
            rules = policy.of(extract_layer_index(name))
            graphs = config.compilation_config.cudagraph_mode
            if rules.capacity is not None and graphs not in (None, CUDAGraphMode.NONE):
                raise SetupError(
                    "a capacity counts each batch's tokens on the host, which CUDA graphs don't "
                    "record: start the engine with --enforce-eager, or leave the capacity out"
                )
            router = PolicyRouter(router, rules)
        super().__init__(*args, router=router, routed_experts=routed_experts, **named)
        if not _is_ours(method := routed_experts.quant_method):
            LEFT.add(method)


def gating_of(router: Any) -> Gating:
    """The rule of one of vLLM's routers; SetupError for one that only vLLM knows."""
    special = ("_hash_indices_table", "bias_vl", "eplb_state")
    if (
        type(router).__name__ not in ROUTERS
        or any(getattr(router, name, None) is not None for name in special)
        or int(getattr(router, "num_fused_shared_experts", 0)) > 0
    ):
        raise SetupError(
            f"a token policy can't route a model with a routing function of its own "
            f"({type(router).__name__})"
        )
    return Gating(
        router.top_k,
        scoring=Scoring(router.scoring_func),
        renormalise=router.renormalize,
        scale=getattr(router, "routed_scaling_factor", 1.0),
        groups=getattr(router, "num_expert_group", 0),
        top_groups=getattr(router, "topk_group", 0),
    )


def real_tokens(count: int) -> Tensor | None:
    """Which rows are tokens and not a CUDA graph's padding; None if vLLM does not tell."""
    if not (envs.VLLM_MOE_SKIP_PADDING and is_forward_context_available()):
        return None
    padding = get_forward_context().is_padding
    return None if padding is None else ~padding[:count]


def _recording(ids: Tensor) -> bool:
    """Whether a CUDA graph is recorded, which will count when it is played for tokens."""
    return ids.is_cuda and torch.cuda.is_current_stream_capturing()


def why_not(moe_config: Any) -> str | None:
    """Why a layer is left to vLLM; None if we compute it. SetupError if it should be ours."""
    from collegium.kernels.moe.triton_check import TOLERANCE, problem
    from collegium.kernels.moe.triton_experts import device_name
    from collegium.kernels.moe.triton_tiles import TABLES, Layer

    dtype, device = moe_config.in_dtype, torch.device(moe_config.device)
    known = {
        f"activations are {dtype}": dtype not in TOLERANCE,
        f"--moe-backend asks for {moe_config.moe_backend}": moe_config.moe_backend != "auto",
        "experts have biases": moe_config.has_bias,
        "adapters may change the experts (LoRA)": moe_config.is_lora_enabled,
        "SwiGLU has a limit or a slope": any(
            getattr(moe_config, f"swiglu_{name}", None) is not None
            for name in ("limit", "alpha", "beta")
        ),
    }
    if reasons := [reason for reason, true in known.items() if true]:
        return reasons[0]
    ours, reason = CollegiumTritonExperts.is_supported_config(
        CollegiumTritonExperts, moe_config, None, None, mk.FusedMoEActivationFormat.Standard
    )
    if not ours:
        return str(reason)
    sizes = moe_config.hidden_dim, moe_config.intermediate_size_per_partition
    layer = Layer(dtype, moe_config.num_local_experts, *sizes)
    force = os.environ.get(MOE_SWITCH) == "force"
    if not force:
        ratio = TABLES.over_vllm(layer, name := device_name(torch.empty(0, device=device)))
        if ratio is None:
            return (
                f"{layer.key} was never measured on {name} "
                f"(collegium bench kernels --device cuda --autotune, or {MOE_SWITCH}=force)"
            )
        if ratio < 1:
            return f"vLLM's kernel is faster for {layer.key} on {name} (ours: {ratio:.2f} times)"
    wrong = problem(layer, device, interpreted=device.type != "cuda")
    if wrong is not None and force:
        raise SetupError(f"{MOE_SWITCH}=force, but Collegium's Triton kernels are wrong: {wrong}")
    return wrong


def _require_ours(method: Any, moe_config: Any) -> None:
    """Raise SetupError where a policy or statistics would be ignored."""
    if _is_ours(method):
        return
    reason = f"weights are quantised, or vLLM's own ({type(method).__name__})"
    if type(method) is unquantized_fused_moe_method.UnquantizedFusedMoEMethod:
        reason = why_not(moe_config) or reason
    raise SetupError(
        "a token policy or token statistics need Collegium's kernels, which don't take this "
        f"layer: {reason}"
    )


def _is_ours(method: Any) -> bool:
    return getattr(method, "experts_cls", None) is CollegiumTritonExperts


def install() -> None:
    """Let vLLM ask us first; plugins are loaded more than once."""
    stock = unquantized.select_unquantized_moe_backend
    if not getattr(stock, "of_collegium", False):

        @functools.wraps(stock)
        def select(moe_config: Any) -> tuple[Any, Any]:
            reason = why_not(moe_config)
            LEFT.because(reason)
            if reason is None:
                return unquantized.UnquantizedMoeBackend.TRITON, CollegiumTritonExperts
            backend, experts = stock(moe_config)
            return backend, experts

        select.of_collegium = True  # type: ignore[attr-defined]
        unquantized.select_unquantized_moe_backend = select
        unquantized_fused_moe_method.select_unquantized_moe_backend = select
    if op_registry_oot.get(MoERunner.__name__) is not CollegiumGpuRunner:
        MoERunner.register_oot(CollegiumGpuRunner)
    vllm_left.install()
