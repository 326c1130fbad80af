"""Pack a checkpoint's parameters in vLLM 0.32 for our kernels, for each weight scheme.

vLLM's own method of a scheme declares the parameters and loads them. Where its oracle found one of
our classes (`vllm_experts`), we take the method over for what comes after: pack what was loaded,
let go of it, and compute with what was packed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar

import torch
import vllm.model_executor.layers.fused_moe.modular_kernel as mk
from torch import Tensor
from vllm.model_executor.layers.fused_moe.all2all_utils import maybe_make_prepare_finalize
from vllm.model_executor.layers.fused_moe.config import FUSED_MOE_UNQUANTIZED_CONFIG
from vllm.model_executor.layers.fused_moe.fused_moe_method_base import FusedMoEMethodBase
from vllm.model_executor.layers.fused_moe.routed_experts import RoutedExperts

from collegium.errors import SetupError
from collegium.kernels.moe.activations import SWIGLU_ALPHA, SWIGLU_LIMIT
from collegium.kernels.moe.formats import FP8_BLOCK
from collegium.kernels.moe.packed import PackedExperts, pack
from collegium.kernels.moe.vllm_experts import FLOATS, CollegiumExperts
from collegium.kernels.moe.vllm_layers import add_layer, counted
from collegium.kernels.moe.vllm_left import LEFT

# What a reader finds for one projection ("w13" or "w2"): codes, and scales if they have any.
Read = tuple[Tensor, Tensor | None]
Reader = Callable[[Any, Any, str], Read]


def floats(method: Any, layer: Any, name: str) -> Read:
    """Weights as they are, or to be quantised by us (`--quantization experts_int8` and others)."""
    return getattr(layer, f"{name}_weight").data, None


def codes(method: Any, layer: Any, name: str) -> Read:
    """Codes and scales as `formats.given` takes them: int8, mxfp4."""
    return getattr(layer, f"{name}_weight").data, getattr(layer, f"{name}_weight_scale").data


def packed_int4(method: Any, layer: Any, name: str) -> Read:
    """Eight codes in an int32, the first in its lowest bits (`pack-quantized`)."""
    if method.weight_quant.actorder == "group":
        raise SetupError("int4 experts whose groups follow activation order are not supported")
    words = getattr(layer, f"{name}_weight_packed").data
    return words.view(torch.uint8), getattr(layer, f"{name}_weight_scale").data


def plain_int4(method: Any, layer: Any, name: str) -> Read:
    """A code of -8 to 7 in each int8 (W4A8, `int-quantized`)."""
    shifted = getattr(layer, f"{name}_weight").data + 8
    pairs = (shifted[..., 0::2] | shifted[..., 1::2] << 4).view(torch.uint8)
    return pairs, getattr(layer, f"{name}_weight_scale").data


def gptq(method: Any, layer: Any, name: str) -> Read:
    """Eight codes of a column in an int32, K first."""
    if method.quant_config.desc_act:
        raise SetupError("int4 experts whose groups follow activation order are not supported")
    words = getattr(layer, f"{name}_qweight").data.transpose(1, 2).contiguous()
    return words.view(torch.uint8), getattr(layer, f"{name}_scales").data.transpose(1, 2)


def fp8(method: Any, layer: Any, name: str) -> Read:
    """e4m3 with scales a block of 128 x 128, a row, or a tensor (gate and up have each their own).

    Static scales of activations are left out: activations are not quantised.
    """
    block = getattr(method, "weight_block_size", None)
    if block not in (None, [FP8_BLOCK, FP8_BLOCK]):
        raise SetupError(f"fp8 experts with blocks of {block} are not supported, only of 128 x 128")
    weight = getattr(layer, f"{name}_weight").data
    scale = getattr(layer, f"{name}_{getattr(method, 'weight_scale_name', 'weight_scale')}").data
    if scale.dim() < 3:  # (experts, parts)
        parts = scale.reshape(len(weight), -1)
        scale = parts.repeat_interleave(weight.shape[1] // parts.shape[1], 1)[..., None]
    return weight, scale


READERS: dict[str, Reader] = {
    "UnquantizedFusedMoEMethod": floats,
    "CompressedTensorsW8A8Int8MoEMethod": codes,
    "CompressedTensorsWNA16MoEMethod": packed_int4,
    "CompressedTensorsW4A8Int8MoEMethod": plain_int4,
    "CompressedTensorsW8A8Fp8MoEMethod": fp8,
    "AutoGPTQMoEMethod": gptq,
    "Fp8MoEMethod": fp8,
    "GptOssMxfp4MoEMethod": codes,
    "Mxfp4MoEMethod": codes,
    "Int8OnlineMoEMethod": floats,
    "Fp8PerTensorOnlineMoEMethod": floats,
    "Fp8PerBlockOnlineMoEMethod": floats,
    "Fp8PtpcOnlineMoEMethod": floats,
}


class TakenOver(FusedMoEMethodBase):  # the base lets objects of its other classes become ours
    """A mixin placed before a vLLM method: packs and computes after its loading."""

    reader: ClassVar[Reader]
    experts_cls: type[CollegiumExperts]
    moe_kernel: Any

    def process_weights_after_loading(self, layer: Any) -> None:
        """Pack the layer's weights and let go of vLLM's copy."""
        if isinstance(self.moe_kernel, mk.FusedMoEKernel):
            return
        self.moe_quant_config = FUSED_MOE_UNQUANTIZED_CONFIG  # it gives us inputs as they are
        experts = self.experts_cls(self.moe, self.moe_quant_config)
        packed = self._packed(layer)
        experts.number = add_layer(packed, counted(layer.layer_name, packed.experts))
        for name in [name for name in layer._parameters if name.startswith(("w13_", "w2_"))]:
            delattr(layer, name)
        rows = packed.up.rows
        layer.w13_weight = hollow(self.moe.in_dtype, packed.experts, rows, packed.hidden)
        layer.w2_weight = hollow(self.moe.in_dtype, packed.experts, packed.hidden, packed.inter)
        prepare = maybe_make_prepare_finalize(
            self.moe, self.moe_quant_config, layer._expert_routing_tables(), True
        )
        assert prepare is not None
        self.moe_kernel = mk.FusedMoEKernel(prepare, experts)

    def _packed(self, layer: Any) -> PackedExperts:
        activation = layer.activation
        if hasattr(self, "_zero_padding"):
            self._zero_padding(layer)
        w13, w13_scale = self.reader(layer, "w13")
        w2, w2_scale = self.reader(layer, "w2")
        form = self.experts_cls.format or FLOATS[w13.dtype]
        return pack(
            w13, w2, format=form, w13_scale=w13_scale, w2_scale=w2_scale,
            w13_bias=getattr(layer, "w13_bias", None), w2_bias=getattr(layer, "w2_bias", None),
            gated=activation.is_gated,
            interleaved=activation.value == "swigluoai",  # gpt-oss's order of rows
        )  # fmt: skip

    def apply(self, layer: Any, x: Tensor, topk_weights: Tensor, topk_ids: Tensor,
              shared_experts: Any, shared_experts_input: Any) -> Any:  # fmt: skip
        """Compute the layer through vLLM's modular kernel."""
        return self.moe_kernel.apply(
            x, layer.w13_weight, layer.w2_weight, topk_weights, topk_ids,
            activation=layer.activation, global_num_experts=layer.global_num_experts,
            expert_map=layer.expert_map,
            apply_router_weight_on_input=layer.apply_router_weight_on_input,
            shared_experts=shared_experts, shared_experts_input=shared_experts_input,
        )  # fmt: skip


def hollow(dtype: torch.dtype, *shape: int) -> torch.nn.Parameter:
    """Return a parameter of this shape without memory: vLLM only reads its sizes."""
    return torch.nn.Parameter(torch.zeros(1, dtype=dtype).expand(shape), requires_grad=False)


def take_over(method: Any, layer: Any) -> Any:
    """Give a vLLM method our packing, if its oracle chose one of our classes."""
    ours = getattr(method, "experts_cls", None)
    if not (isinstance(ours, type) and issubclass(ours, CollegiumExperts)):
        LEFT.add(method)
        return method
    stock = type(method)
    if stock.__name__ not in READERS:
        raise SetupError(
            f"Collegium's kernels can't read the weights of vLLM's {stock.__name__}: "
            "set COLLEGIUM_MOE=off to leave the model to vLLM"
        )
    _check_activation(layer)
    members = {"reader": READERS[stock.__name__]}
    # The name stays: vLLM's loaders ask for some methods by it.
    method.__class__ = type(stock.__name__, (TakenOver, stock), members)
    return method


def _check_activation(layer: Any) -> None:
    """Raise SetupError for a clamp or slope of SwiGLU that the kernels don't have."""
    ours = {"swiglu_limit": SWIGLU_LIMIT, "swiglu_alpha": SWIGLU_ALPHA, "swiglu_beta": 1.0}
    gpt_oss = layer.activation.value == "swigluoai"
    for name, value in ours.items():
        wanted = getattr(layer, name, None)
        if wanted is not None and not (gpt_oss and wanted == value):
            raise SetupError(
                f"Collegium's kernels have no {name} of {wanted} for {layer.activation.value}: "
                "set COLLEGIUM_MOE=off to leave the model to vLLM"
            )


def install() -> None:
    """Ask us for a layer's method; plugins are loaded more than once."""
    # Not by `register_oot`: models have classes of their own under RoutedExperts (gpt-oss, DBRX).
    stock = RoutedExperts._get_quant_method
    if getattr(stock, "of_collegium", False):
        return

    @functools.wraps(stock)
    def get_quant_method(layer: Any, prefix: str, quant_config: Any, moe_config: Any) -> Any:
        LEFT.because(None)
        return take_over(stock(layer, prefix, quant_config, moe_config), layer)

    get_quant_method.of_collegium = True  # type: ignore[attr-defined]
    RoutedExperts._get_quant_method = get_quant_method
