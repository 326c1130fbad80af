"""Tiny sparse models in the quantisation schemes that vLLM knows, and what they mean.

Each scheme rounds the experts' weights of one random model. Two folders come out: the codes as a
checkpoint stores them, and beside it, ending in `-meant`, the floats that the codes stand for.
Their routers never nearly tie (`far_from_ties`).
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from collegium.kernels.moe.formats import split
from tests.kernels.moe.far_from_ties import QUIET, keep_apart
from tests.kernels.moe.vllm_tokens import SMALL, drawn

GROUP, BLOCK = 32, 128
PROJECTIONS = ("gate_up_proj", "down_proj")
EXPERT = re.compile(r"(.*\.experts\.\d+\.(?:w\d|\w+_proj))\.weight")
Tensors = dict[str, Tensor]
# From a weight (rows, K) to the tensors that are stored for it, and the floats that they mean.
Scheme = Callable[[Tensor], tuple[Tensors, Tensor]]


def int8(weight: Tensor) -> tuple[Tensors, Tensor]:
    """A scale a row."""
    return rounded(weight, weight.shape[1], 127)


def int4(weight: Tensor) -> tuple[Tensors, Tensor]:
    """A scale a group, a code in each byte."""
    return rounded(weight, GROUP, 7)


def int4_packed(weight: Tensor) -> tuple[Tensors, Tensor]:
    """A scale a group, eight codes in an int32."""
    from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32

    stored, meant = rounded(weight, GROUP, 7)
    packed = pack_to_int32(stored["weight"], 4)
    shape = torch.tensor(weight.shape)
    scale = stored["weight_scale"]
    return {"weight_packed": packed, "weight_scale": scale, "weight_shape": shape}, meant


def rounded(weight: Tensor, group: int, largest: int) -> tuple[Tensors, Tensor]:
    """Symmetric integers with a bfloat16 scale a group."""
    groups = split(weight, 1, -1, group)
    scale = (groups.abs().amax(-1) / largest).bfloat16()
    codes = (groups / scale.float()[..., None]).round().clamp(-largest, largest)
    meant = (codes * scale.float()[..., None]).flatten(1)
    return {"weight": codes.flatten(1).to(torch.int8), "weight_scale": scale}, meant


def fp8_rows(weight: Tensor) -> tuple[Tensors, Tensor]:
    """A scale a row."""
    scale = weight.abs().amax(1, keepdim=True) / 448
    codes = (weight / scale).to(torch.float8_e4m3fn)
    return {"weight": codes, "weight_scale": scale}, codes.float() * scale


def fp8_tensor(weight: Tensor) -> tuple[Tensors, Tensor]:
    """One scale, and one for activations that is not used."""
    scale = weight.abs().max() / 448
    codes = (weight / scale).to(torch.float8_e4m3fn)
    stored = {"weight": codes, "weight_scale": scale, "input_scale": torch.tensor(0.02)}
    return stored, codes.float() * scale


def fp8_blocks(weight: Tensor, name: str = "weight_scale") -> tuple[Tensors, Tensor]:
    """A scale a block of 128 x 128."""
    blocks = split(split(weight, 1, -1, BLOCK), 0, -1, BLOCK)
    scale = blocks.abs().amax((1, 3)) / 448
    spread = scale.repeat_interleave(BLOCK, 0).repeat_interleave(BLOCK, 1)
    codes = (weight / spread).to(torch.float8_e4m3fn)
    return {"weight": codes, name: scale}, codes.float() * spread


def deepseek(weight: Tensor) -> tuple[Tensors, Tensor]:
    """As DeepSeek-V3 and Qwen3 name them."""
    return fp8_blocks(weight, "weight_scale_inv")


def gptq(weight: Tensor) -> tuple[Tensors, Tensor]:
    """K first, eight codes of a column in an int32."""
    stored, meant = int4_packed(weight)
    groups = weight.shape[1] // GROUP
    return {
        "qweight": stored["weight_packed"].T.contiguous(),
        "scales": stored["weight_scale"].T.contiguous(),
        "qzeros": torch.full((groups, weight.shape[0] // 8), 0x77777777, dtype=torch.int32),
        "g_idx": torch.arange(weight.shape[1], dtype=torch.int32) // GROUP,
    }, meant


def as_int4(mean: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """From weights (rows, K) to what their int4 codes and spread scales mean to `mean`."""

    def meant(weight: Tensor) -> Tensor:
        stored, _ = rounded(weight, GROUP, 7)
        scale = stored["weight_scale"].float().repeat_interleave(GROUP, 1)
        return mean(stored["weight"].float(), scale)

    return meant


# What a reader with an error would take int4 codes for, out of the weights that they came from.
MISREAD: dict[str, Callable[[Tensor], Tensor]] = {
    "a zero point too low": as_int4(lambda codes, scale: (codes + 1) * scale),
    "swapped pairs": as_int4(
        lambda codes, scale: codes.view(len(codes), -1, 2).flip(-1).flatten(1) * scale
    ),
    "the scale of the group before": as_int4(lambda codes, scale: codes * scale.roll(GROUP, 1)),
    "groups of twice the size": as_int4(
        lambda codes, scale: codes * scale[:, :: 2 * GROUP].repeat_interleave(2 * GROUP, 1)
    ),
    "not rounded": lambda weight: weight,
}


def change_experts(
    model: Any, change: Callable[[Tensor], Tensor], *, names: tuple[str, ...] = PROJECTIONS
) -> None:
    """Apply a change of weights (rows, K) to a transformers model's experts, in place."""
    for layer in model.model.layers:
        for name in names:
            weight = getattr(layer.mlp.experts, name)
            weight.data = change(weight.data.flatten(0, 1)).view_as(weight)


def compressed(form: str, weights: dict[str, Any], inputs: dict[str, Any] | None) -> dict[str, Any]:
    """A compressed-tensors configuration for the experts alone."""
    group = {"targets": ["Linear"], "weights": weights | {"symmetric": True, "dynamic": False}}
    if inputs is not None:
        group["input_activations"] = inputs | {"symmetric": True, "dynamic": True}
    return {
        "quant_method": "compressed-tensors",
        "format": form,
        "config_groups": {"group_0": group},
        "ignore": ["lm_head", "re:.*self_attn.*", "re:.*gate$"],
    }


TOKEN_INT8 = {"num_bits": 8, "type": "int", "strategy": "token"}
TOKEN_FP8 = {"num_bits": 8, "type": "float", "strategy": "token"}
GROUP_FP8 = {"num_bits": 8, "type": "float", "strategy": "group", "group_size": BLOCK}
INT4 = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": GROUP}
LEFT_OUT = [  # vLLM's fp8 takes whole names
    f"model.layers.{layer}.{name}"
    for layer in (0, 1)
    for name in (*(f"self_attn.{x}_proj" for x in "qkvo"), "block_sparse_moe.gate", "mlp.gate")
]

SCHEMES: dict[str, tuple[Scheme, dict[str, Any]]] = {
    "int8": (
        int8,
        compressed(
            "int-quantized", {"num_bits": 8, "type": "int", "strategy": "channel"}, TOKEN_INT8
        ),
    ),
    "int4-w4a16": (int4_packed, compressed("pack-quantized", INT4, None)),
    "int4-w4a8": (int4, compressed("int-quantized", INT4, TOKEN_INT8)),
    "fp8-rows": (
        fp8_rows,
        compressed(
            "float-quantized", {"num_bits": 8, "type": "float", "strategy": "channel"}, TOKEN_FP8
        ),
    ),
    "fp8-blocks": (
        fp8_blocks,
        compressed(
            "float-quantized",
            {"num_bits": 8, "type": "float", "strategy": "block", "block_structure": [BLOCK] * 2},
            GROUP_FP8,
        ),
    ),
    "fp8-deepseek": (
        deepseek,
        {
            "quant_method": "fp8",
            "activation_scheme": "dynamic",
            "weight_block_size": [BLOCK] * 2,
            "modules_to_not_convert": LEFT_OUT,
        },
    ),
    "fp8-tensor": (
        fp8_tensor,
        {
            "quant_method": "fp8",
            "activation_scheme": "static",
            "modules_to_not_convert": LEFT_OUT,
        },
    ),
    "gptq": (
        gptq,
        {
            "quant_method": "gptq",
            "bits": 4,
            "group_size": GROUP,
            "desc_act": False,
            "sym": True,
            "dynamic": {"-:.*self_attn.*": {}, "-:.*gate$": {}},
        },
    ),
}


EXPERTS = 4
MX_GROUP = 32
E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)


def write_plain(folder: Path, *, seed: int = 0) -> None:
    """Write a Mixtral-style model in float32."""
    from transformers import MixtralConfig

    config = MixtralConfig(
        **SMALL,
        intermediate_size=256,
        num_key_value_heads=2,
        num_local_experts=EXPERTS,
        num_experts_per_tok=2,
    )
    model = drawn(config, seed=seed)
    keep_apart(model, experts=EXPERTS)
    model.save_pretrained(folder)


def write_gpt_oss(folder: Path, *, seed: int = 0) -> None:
    """Write a gpt-oss-style model whose experts are random mxfp4 codes."""
    from transformers import AutoModelForCausalLM, GptOssConfig

    config = GptOssConfig(
        **SMALL, intermediate_size=64, num_key_value_heads=2, head_dim=32,
        num_local_experts=EXPERTS, num_experts_per_tok=2,
    )  # fmt: skip
    torch.manual_seed(seed)
    model: Any = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    for name, parameter in model.named_parameters():
        if "norm" not in name:
            torch.nn.init.normal_(parameter, std=0.08)
    keep_apart(model, experts=EXPERTS)
    stored: Tensors = {}
    meant: Tensors = {}
    for name, tensor in model.bfloat16().state_dict().items():
        if not name.endswith("_proj") or ".experts." not in name:
            stored[name] = meant[name] = tensor
            continue
        experts, wide, rows = tensor.shape
        codes = torch.randint(0, 16, (experts, rows, wide // MX_GROUP, MX_GROUP))
        scales = torch.randint(121, 124, (experts, rows, wide // MX_GROUP))
        if name.endswith("down_proj"):
            scales[:, :EXPERTS] += QUIET
        values = torch.tensor([*E2M1, *(-value for value in E2M1)])[codes]
        values = values * torch.exp2(scales - 127.0)[..., None]
        meant[name] = values.flatten(2).transpose(1, 2).bfloat16()
        stored[f"{name}_blocks"] = (codes[..., 0::2] | codes[..., 1::2] << 4).to(torch.uint8)
        stored[f"{name}_scales"] = scales.to(torch.uint8)
    plain = config.to_dict() | {"architectures": ["GptOssForCausalLM"], "dtype": "bfloat16"}
    _save(folder / "mxfp4", plain | {"quantization_config": {"quant_method": "mxfp4"}}, stored)
    _save(folder / "mxfp4-meant", plain, meant)


def write(plain: Path, folder: Path) -> None:
    """Write the model in `plain` in every scheme."""
    config = json.loads((plain / "config.json").read_text())
    tensors = load_file(plain / "model.safetensors")
    for name, (scheme, description) in SCHEMES.items():
        stored: Tensors = {}
        meant: Tensors = {}
        for key, tensor in tensors.items():
            found = EXPERT.fullmatch(key)
            if found is None:
                stored[key] = meant[key] = tensor
                continue
            parts, meant[key] = scheme(tensor.float())
            stored |= {f"{found[1]}.{part}": value for part, value in parts.items()}
        _save(folder / name, config | {"quantization_config": description}, stored)
        _save(folder / f"{name}-meant", config, meant)


def _save(folder: Path, config: dict[str, Any], tensors: Tensors) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
    save_file(whole, folder / "model.safetensors", metadata={"format": "pt"})
