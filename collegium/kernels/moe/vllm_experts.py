"""Our experts in vLLM 0.32: classes that its oracles find before their own CPU classes.

vLLM has one oracle a weight scheme, which asks classes in turn whether they take a layer
(`backend_to_kernel_cls`, looked up at each call). Weights come through vLLM's own loading and are
packed once. All that knows vLLM's insides is in this module and `vllm_router`.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
import vllm.model_executor.layers.fused_moe.modular_kernel as mk
from torch import Tensor
from vllm.model_executor.layers.fused_moe.activation import MoEActivation
from vllm.model_executor.layers.fused_moe.experts.cpu_moe import (
    CPUExpertsInt8,
    CPUUnquantizedExperts,
)
from vllm.model_executor.layers.fused_moe.oracle import int8, unquantized
from vllm.model_executor.utils import replace_parameter
from vllm.platforms import current_platform

from collegium.kernels.moe.formats import Format
from collegium.kernels.moe.packed import PackedExperts, pack
from collegium.kernels.moe.vllm_layers import add_layer

ACTIVATIONS = {
    MoEActivation.SILU: "silu",
    MoEActivation.GELU: "gelu",
    MoEActivation.GELU_TANH: "gelu_tanh",
    MoEActivation.SILU_NO_MUL: "silu",
    MoEActivation.GELU_NO_MUL: "gelu",
    MoEActivation.GELU_TANH_NO_MUL: "gelu_tanh",
    MoEActivation.RELU2_NO_MUL: "relu2",
}
FORMATS = {torch.bfloat16: Format.BF16, torch.float32: Format.FP32}


class _Ours:
    """What our classes answer and do, whatever the weights' scheme."""

    _number: int

    @staticmethod
    def _supports_current_device() -> bool:
        return bool(current_platform.is_cpu())

    @staticmethod
    def _supports_no_act_and_mul() -> bool:
        return True

    @staticmethod
    def _supports_activation(activation: MoEActivation) -> bool:
        return activation in ACTIVATIONS

    @staticmethod
    def _supports_parallel_config(moe_parallel_config: Any) -> bool:
        # Stock classes say yes and then ignore the expert map; we would raise on ids of others.
        return not moe_parallel_config.use_ep

    @staticmethod
    def _supports_routing_method(*_any: Any) -> bool:
        return True

    @staticmethod
    def _supports_batch_invariance() -> bool:
        return True

    @staticmethod
    def is_supported_config(
        cls: Any, moe_config: Any, weight_key: Any, activation_key: Any, activation_format: Any
    ) -> tuple[bool, str | None]:
        """Whether a layer is one of ours, and why not."""
        if moe_config.in_dtype not in FORMATS:
            return False, f"activations are {moe_config.in_dtype}, not bfloat16 or float32"
        checked: tuple[bool, str | None] = mk.FusedMoEExperts.is_supported_config(
            cls, moe_config, weight_key, activation_key, activation_format
        )
        return checked

    def process_weights_after_loading(self, layer: torch.nn.Module) -> None:
        """Pack the layer's weights and let go of vLLM's copy."""
        self._number = add_layer(self._pack(layer))
        for name in ("w13_weight", "w2_weight"):
            replace_parameter(layer, name, hollow(getattr(layer, name)))

    def _pack(self, layer: Any) -> PackedExperts:
        raise NotImplementedError

    def apply(
        self,
        output: Tensor,
        hidden_states: Tensor,
        w1: Tensor,
        w2: Tensor,
        topk_weights: Tensor,
        topk_ids: Tensor,
        activation: MoEActivation,
        *_rest: Any,
        apply_router_weight_on_input: bool = False,
        **_named: Any,
    ) -> None:
        """Compute the layer; vLLM has multiplied the inputs already where it is told to."""
        weights = torch.ones_like(topk_weights) if apply_router_weight_on_input else topk_weights
        torch.ops.collegium.moe_layer(
            output, hidden_states, topk_ids, weights, self._number, ACTIVATIONS[activation]
        )


class CollegiumExperts(_Ours, CPUUnquantizedExperts):
    """Weights in bfloat16 or float32."""

    def _pack(self, layer: Any) -> PackedExperts:
        return pack(
            layer.w13_weight.data,
            layer.w2_weight.data,
            format=FORMATS[layer.w13_weight.dtype],
            w13_bias=self.w1_bias,
            w2_bias=self.w2_bias,
            gated=layer.activation.is_gated,
        )


class CollegiumInt8Experts(_Ours, CPUExpertsInt8):
    """int8 weights with a scale a row, activations quantised a token (W8A8)."""

    def _pack(self, layer: Any) -> PackedExperts:
        return pack(
            layer.w13_weight.data,
            layer.w2_weight.data,
            format=Format.INT8,
            w13_scale=self.w1_scale,
            w2_scale=self.w2_scale,
            gated=layer.activation.is_gated,
        )


def hollow(weight: Tensor) -> Tensor:
    """A tensor of the same shape without memory: vLLM reads sizes from it, nothing else."""
    return torch.zeros(1, dtype=weight.dtype).expand(weight.shape)


def install() -> None:
    """Put our classes before vLLM's in the oracles of the schemes that we compute."""
    _prefer(unquantized, unquantized.UnquantizedMoeBackend.CPU, CollegiumExperts)
    _prefer(int8, int8.Int8MoeBackend.CPU, CollegiumInt8Experts)


def _prefer(oracle: ModuleType, backend: Any, ours: type) -> None:
    stock: Callable[[Any], list[type]] = oracle.backend_to_kernel_cls
    if ours in stock(backend):  # plugins are loaded more than once
        return

    def backend_to_kernel_cls(asked: Any) -> list[type]:
        classes = list(stock(asked))
        return [ours, *classes] if asked == backend else classes

    oracle.backend_to_kernel_cls = backend_to_kernel_cls  # type: ignore[attr-defined]
