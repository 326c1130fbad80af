"""Our experts in vLLM 0.32: classes that its oracles find before vLLM's own CPU classes.

vLLM has one oracle a weight scheme, which asks classes in turn whether they take a layer
(`backend_to_kernel_cls`, looked up at each call). Weights come through vLLM's own loading;
`vllm_methods` packs them. What knows vLLM's insides is in the modules `vllm_*` and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
import vllm.model_executor.layers.fused_moe.modular_kernel as mk
from torch import Tensor
from vllm.model_executor.layers.fused_moe.activation import MoEActivation
from vllm.model_executor.layers.fused_moe.experts.cpu_moe import CPUUnquantizedExperts
from vllm.model_executor.layers.fused_moe.oracle import (
    fp8,
    int8,
    int_wna16,
    mxfp4,
    unquantized,
    w4a8_int8,
)
from vllm.model_executor.layers.quantization.utils import quant_utils as keys
from vllm.platforms import current_platform

from collegium.kernels.moe.formats import Format
from collegium.kernels.moe.vllm_left import LEFT

ACTIVATIONS = {
    MoEActivation.SILU: "silu",
    MoEActivation.GELU: "gelu",
    MoEActivation.GELU_TANH: "gelu_tanh",
    MoEActivation.SILU_NO_MUL: "silu",
    MoEActivation.GELU_NO_MUL: "gelu",
    MoEActivation.GELU_TANH_NO_MUL: "gelu_tanh",
    MoEActivation.RELU2_NO_MUL: "relu2",
}
FLOATS = {torch.bfloat16: Format.BF16, torch.float32: Format.FP32}


class CollegiumExperts(CPUUnquantizedExperts):
    """Experts in bfloat16 or float32, and the base of all our classes."""

    format: Format | None = None  # of the packed weights; None takes the weights' own type
    number: int

    @staticmethod
    def _supports_quant_scheme(weight_key: Any, activation_key: Any) -> bool:
        return (weight_key, activation_key) == (None, None)

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
        """Whether we support a layer, and why not."""
        ours: bool
        why_not: str | None
        if moe_config.in_dtype not in FLOATS:
            ours, why_not = False, f"{moe_config.in_dtype} is neither bfloat16 nor float32"
        else:
            ours, why_not = mk.FusedMoEExperts.is_supported_config(
                cls, moe_config, weight_key, activation_key, activation_format
            )
        LEFT.because(None if ours else f"{why_not} ({cls.__name__})")
        return ours, why_not

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
        """Compute the layer; vLLM may have multiplied the inputs already."""
        weights = torch.ones_like(topk_weights) if apply_router_weight_on_input else topk_weights
        name = ACTIVATIONS.get(activation, "swigluoai")
        torch.ops.collegium.moe_layer(output, hidden_states, topk_ids, weights, self.number, name)


class CollegiumInt8Experts(CollegiumExperts):
    """int8 weights with a scale a row, activations quantised a token (W8A8)."""

    format = Format.INT8

    @staticmethod
    def _supports_quant_scheme(weight_key: Any, activation_key: Any) -> bool:
        wanted = (keys.kInt8StaticChannelSym, keys.kInt8DynamicTokenSym)
        return (weight_key, activation_key) == wanted


class CollegiumInt4Experts(CollegiumExperts):
    """int4 weights with a scale a group, no zero points; activations quantised a token."""

    format = Format.INT4

    @staticmethod
    def _supports_quant_scheme(weight_key: Any, activation_key: Any) -> bool:
        # torch.int8 is what the W4A8 scheme, whose oracle has no other, calls its unpacked codes.
        known = (keys.INT4_DTYPE, torch.int8)
        return weight_key.dtype in known and weight_key.symmetric and activation_key is None


class CollegiumFp8Experts(CollegiumExperts):
    """e4m3 weights with a scale a block, row or tensor; activations stay bfloat16 (W8A16)."""

    format = Format.FP8

    @staticmethod
    def _supports_quant_scheme(weight_key: Any, activation_key: Any) -> bool:
        return weight_key in (
            keys.kFp8Static128BlockSym, keys.kFp8StaticChannelSym, keys.kFp8StaticTensorSym
        )  # fmt: skip


class CollegiumMxfp4Experts(CollegiumExperts):
    """e2m1 weights with a power of two every 32; activations stay bfloat16 (W4A16)."""

    format = Format.MXFP4

    @staticmethod
    def _supports_activation(activation: MoEActivation) -> bool:
        return activation in ACTIVATIONS or activation is MoEActivation.SWIGLUOAI

    @staticmethod
    def _supports_quant_scheme(weight_key: Any, activation_key: Any) -> bool:
        return (weight_key, activation_key) == (keys.kMxfp4Static, None)


def install() -> None:
    """Insert our classes before vLLM's in the oracles of the schemes that we support."""
    _prefer(unquantized, unquantized.UnquantizedMoeBackend.CPU, CollegiumExperts)
    _prefer(int8, int8.Int8MoeBackend.CPU, CollegiumInt8Experts)
    _prefer(int_wna16, int_wna16.WNA16MoEBackend.CPU, CollegiumInt4Experts)
    _prefer(w4a8_int8, w4a8_int8.W4A8Int8MoeBackend.CPU_INT4, CollegiumInt4Experts)
    _prefer(fp8, fp8.Fp8MoeBackend.CPU, CollegiumFp8Experts)
    _prefer(mxfp4, mxfp4.Mxfp4MoeBackend.CPU, CollegiumMxfp4Experts)


def _prefer(oracle: ModuleType, backend: Any, ours: type) -> None:
    stock: Callable[[Any], list[type]] = oracle.backend_to_kernel_cls
    if ours in stock(backend):  # plugins are loaded more than once
        return

    def backend_to_kernel_cls(asked: Any) -> list[type]:
        classes = list(stock(asked))
        return [ours, *classes] if asked == backend else classes

    oracle.backend_to_kernel_cls = backend_to_kernel_cls  # type: ignore[attr-defined]
