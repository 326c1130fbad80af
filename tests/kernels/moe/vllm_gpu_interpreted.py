"""vLLM's selection of kernels as on an NVIDIA GPU, with our kernels in Triton's interpreter.

It prints one JSON line. vLLM is told that its platform is CUDA after it was imported, so that its
own code builds the layers; tensors stay on the processor. `TRITON_INTERPRET=1` must be set.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
from copy import copy
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from collegium.errors import SetupError
from collegium.kernels.moe import triton_check
from collegium.kernels.moe.policies.declared import policy_of
from collegium.kernels.moe.routing import Gating, Scoring
from collegium.kernels.moe.triton_check import plain
from collegium.kernels.moe.triton_tiles import TABLES, Layer
from collegium.kernels.token_policy import TokenPolicy

EXPERTS, K, HIDDEN, INTER, ROWS = 6, 2, 48, 40, 11
PADDING = torch.arange(ROWS) >= ROWS - 3
POLICIES: dict[str, dict[str, Any]] = {
    "top-p": {"top_p": 0.55},
    "steering": {"steering": {"2": 0.3}},
    "substitutes": {"kept": [0, 1, 3], "substitutes": {"2": 1}},
    "copying experts": {"null_experts": {"logit": 0.1, "kind": "copy"}, "top_p": 0.9},
    "one layer": {"layers": {"3": {"kept": [1, 2]}}},
    "capacity": {"capacity": {"factor": 1.0}, "single_tenant": True},
}
numbers = iter(range(3, 10_000))


def begin() -> None:
    """Import what looks at the platform while it is imported, then be a GPU."""
    from vllm.distributed import init_distributed_environment, initialize_model_parallel
    from vllm.model_executor.layers.fused_moe import layer as _layer  # noqa: F401
    from vllm.model_executor.layers.fused_moe.experts import triton_moe  # noqa: F401
    from vllm.model_executor.layers.quantization.online import fp8 as _fp8  # noqa: F401
    from vllm.platforms import current_platform
    from vllm.platforms.interface import DeviceCapability, Platform, PlatformEnum
    from vllm.v1.worker.workspace import init_workspace_manager

    class Hopper(Platform):
        """As far as the selection of kernels asks."""

        _enum = PlatformEnum.CUDA
        device_name, device_type, dispatch_key, dist_backend = "cuda", "cpu", "CPU", "gloo"

        @classmethod
        def get_device_capability(cls, device_id: int = 0) -> Any:
            """An H100's."""
            return DeviceCapability(9, 0)

    with tempfile.TemporaryDirectory() as folder:
        meeting = (Path(folder) / "meeting").as_uri()
        init_distributed_environment(1, 0, meeting, 0, "gloo")
        initialize_model_parallel(1, 1)
    current_platform.__class__ = Hopper
    torch.accelerator.empty_cache = lambda: None
    init_workspace_manager(torch.device("cpu"))
    from collegium.kernels.vllm_plugin import register

    register()
    register()  # vLLM loads plugins more than once


def config_of(section: dict[str, Any], **options: Any) -> Any:
    """vLLM's configuration with our section."""
    from vllm.config import DeviceConfig, VllmConfig

    additional = {"collegium": section} if section else {}
    device = DeviceConfig(device="cpu")
    config = VllmConfig(device_config=device, additional_config=additional)
    for name, value in options.items():
        setattr(config.compilation_config, name, value)
    return config


def layer_of(config: Any, dtype: torch.dtype = torch.bfloat16, **options: Any) -> Any:
    """vLLM's own layer as models make it, with random weights."""
    from vllm.config import set_current_vllm_config
    from vllm.model_executor.layers.fused_moe.layer import FusedMoEFactory

    prefix = f"model.layers.3.part{next(numbers)}.experts"
    with (
        set_current_vllm_config(config),
        patch("collegium.kernels.moe.vllm_gpu.extract_layer_index", lambda name: 3),
        patch("collegium.kernels.moe.vllm_layers.extract_layer_index", lambda name: 3),
    ):
        layer = FusedMoEFactory(
            EXPERTS, K, HIDDEN, INTER, params_dtype=dtype, prefix=prefix, **options
        )
        torch.manual_seed(0)
        experts = layer.routed_experts
        for parameter in experts.parameters():
            torch.nn.init.normal_(parameter, std=0.15)
        experts.quant_method.process_weights_after_loading(experts)
    return layer


def experts_of(layer: Any) -> str:
    """The class that computes a layer."""
    return type(layer.routed_experts.quant_method.moe_kernel.fused_experts).__name__


def drawn(dtype: torch.dtype = torch.bfloat16) -> tuple[Tensor, Tensor]:
    """Inputs and gate logits."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(ROWS, HIDDEN, generator=generator).to(dtype)
    return x, torch.randn(ROWS, EXPERTS, generator=generator)


def computed(config: Any, layer: Any, x: Tensor, logits: Tensor) -> Tensor:
    """What the layer says while tokens are served, the last rows being padding."""
    from vllm.forward_context import set_forward_context

    with torch.inference_mode(), set_forward_context({}, config, is_padding=PADDING):
        routed = layer.router.select_experts(x, logits)
        out = layer.routed_experts.forward_modular(
            x=x.clone(), topk_weights=routed[0], topk_ids=routed[1],
            shared_experts=None, shared_experts_input=None,
        )  # fmt: skip
    return torch.as_tensor(out)


def wanted(policy: dict[str, Any], gating: Gating, layer: Any, x: Tensor, logits: Tensor) -> Tensor:
    """What the library's policy and plain torch say."""
    rules = TokenPolicy.model_validate(policy).of(3)
    routed = policy_of(rules, gating, EXPERTS, layer.router._stock_bias).route(logits)
    experts = layer.routed_experts
    out = plain(x, experts.w13_weight, experts.w2_weight, routed.ids, routed.weights)
    return out if routed.residual is None else out + routed.residual[:, None] * x.double()


def off(found: Tensor, expected: Tensor) -> float:
    """The largest error of a row that is a token, relative to the largest number."""
    error = (found.double() - expected)[~PADDING].abs().max() / expected.abs().max()
    return float(error)


def policies(folder: Path) -> dict[str, Any]:
    """Errors under each policy, and of a model whose gate has groups, a bias and a scale."""
    gating, found = Gating(K, renormalise=True), {}
    for name, policy in POLICIES.items():
        config = config_of({"token_policy": policy})
        layer = layer_of(config)
        layer.router._stock_bias = None
        x, logits = drawn()
        out = computed(config, layer, x, logits)
        found[name] = off(out, wanted(policy, gating, layer, x, logits))
    bias = torch.linspace(-1, 1, EXPERTS)
    config = config_of({"token_policy": {"top_p": 0.8}})
    layer = layer_of(
        config, use_grouped_topk=True, num_expert_group=3, topk_group=2, scoring_func="sigmoid",
        e_score_correction_bias=bias, routed_scaling_factor=2.5,
    )  # fmt: skip
    layer.router._stock_bias = bias
    x, logits = drawn()
    grouped = Gating(K, Scoring.SIGMOID, renormalise=True, scale=2.5, groups=3, top_groups=2)
    out = computed(config, layer, x, logits)
    found["groups"] = off(out, wanted({"top_p": 0.8}, grouped, layer, x, logits))
    return found


def statistics(folder: Path) -> dict[str, Any]:
    """What is counted of two batches, of which the padding is none."""
    file = folder / "tokens.json"
    config = config_of({"token_policy": {"top_p": 0.55}, "statistics_file": str(file)})
    layer = layer_of(config)
    x, logits = drawn()
    for _ in range(2):
        computed(config, layer, x, logits)
    from vllm.forward_context import set_forward_context

    with torch.inference_mode(), set_forward_context(None, config, is_padding=~PADDING):
        layer.routed_experts.quant_method.moe_kernel.fused_experts.apply(
            torch.empty_like(x), x, layer.routed_experts.w13_weight, layer.routed_experts.w2_weight,
            torch.ones(ROWS, K), torch.zeros(ROWS, K, dtype=torch.int32), None,
        )  # fmt: skip
    stats = layer.routed_experts.quant_method.moe_kernel.fused_experts.statistics
    routed = policy_of(
        TokenPolicy.model_validate({"top_p": 0.55}), Gating(K, renormalise=True), EXPERTS
    ).route(logits[~PADDING])
    counts = [2 * int((routed.ids == expert).sum()) for expert in range(EXPERTS)]
    report = stats.report()
    return {
        "tokens": report["tokens"],
        "counts_agree": report["counts"] == counts,
        "skipped": report["skipped_slots"] == 2 * int((routed.ids < 0).sum()),
    }


def refusals() -> dict[str, str]:
    """Why layers are left to vLLM, or an engine does not start."""
    from vllm.config.compilation import CUDAGraphMode

    from collegium.kernels.moe import vllm_gpu

    base = layer_of(config_of({})).moe_config
    found = {}
    changes: dict[str, dict[str, Any]] = {
        "biases": {"has_bias": True},
        "lora": {"is_lora_enabled": True},
        "limit": {"swiglu_limit": 7.0},
        "backend": {"moe_backend": "triton"},
        "type": {"in_dtype": torch.float64},
    }
    for name, change in changes.items():
        config = copy(base)
        for field, value in change.items():
            setattr(config, field, value)
        found[name] = vllm_gpu.why_not(config) or "taken"
    found["activation"] = experts_of(layer_of(config_of({}), activation="gelu"))
    policy = {"token_policy": {"top_p": 0.5}}
    found["policy, activation"] = refused(config_of(policy), activation="gelu")
    found["policy, routing"] = refused(config_of(policy), custom_routing_function=lambda **_: None)
    capacity = {"token_policy": POLICIES["capacity"]}
    graphs = config_of(capacity, cudagraph_mode=CUDAGraphMode.FULL_AND_PIECEWISE)
    found["capacity"] = refused(graphs)
    triton_check.problem.cache_clear()
    with patch.dict(triton_check.TOLERANCE, {torch.bfloat16: -1.0}):
        found["wrong"] = refused(config_of({}))
    triton_check.problem.cache_clear()
    return found


def refused(config: Any, **options: Any) -> str:
    """Why a model is not loaded."""
    try:
        return experts_of(layer_of(config, **options))
    except SetupError as exc:
        return str(exc)


def automatic() -> dict[str, str]:
    """Who computes where nothing is forced: by what was measured on the device."""
    os.environ["COLLEGIUM_MOE"] = "auto"
    layer = Layer(torch.bfloat16, EXPERTS, HIDDEN, INTER)
    found = {"unmeasured": experts_of(layer_of(config_of({})))}
    TABLES.write_over_vllm("cpu", {layer: 0.8})
    found["slower"] = experts_of(layer_of(config_of({})))
    TABLES.write_over_vllm("cpu", {layer: 1.2})
    found["faster"] = experts_of(layer_of(config_of({})))
    triton_check.problem.cache_clear()
    with patch.dict(triton_check.TOLERANCE, {torch.bfloat16: -1.0}):
        found["wrong"] = experts_of(layer_of(config_of({})))
    return found


def told() -> list[str]:
    """What the log says of a model with two layers of one kind, and one of each other."""
    from unittest.mock import Mock

    from vllm.model_executor.layers.fused_moe.experts.triton_moe import TritonExperts
    from vllm.model_executor.layers.fused_moe.unquantized_fused_moe_method import (
        UnquantizedFusedMoEMethod,
    )
    from vllm.model_executor.model_loader import base_loader
    from vllm.model_executor.model_loader.dummy_loader import DummyModelLoader

    from collegium.kernels.moe.vllm_left import LEFT

    class Int5MoEMethod(UnquantizedFusedMoEMethod):
        """A scheme of which our kernels know nothing."""

        def __init__(self, moe: Any) -> None:
            super().__init__(moe)
            self.experts_cls = TritonExperts

        def process_weights_after_loading(self, layer: Any) -> None:
            """Leave them as they are."""

    scheme = Mock(online_quantization_config=None)
    scheme.get_quant_method = lambda layer, prefix: Int5MoEMethod(layer.moe_config)

    def model(**_named: Any) -> None:
        for options in ({"quant_config": scheme}, {"quant_config": scheme}, {}):
            layer_of(config_of({}), **options)
        layer_of(config_of({}), activation="gelu")

    LEFT.tell()  # of earlier layers, which belong to no model
    lines: list[str] = []
    log = logging.getLogger("collegium.kernels.moe.vllm_left")
    with (
        patch.object(base_loader, "initialize_model", model),
        patch.object(base_loader, "log_online_quantization", Mock()),
        patch.object(base_loader, "log_model_inspection", Mock()),
        patch.object(log, "warning", lambda text, *words: lines.append(text % words)),
    ):
        DummyModelLoader.create_model(Mock(), Mock(), Mock())
    return lines


def plain_layers() -> dict[str, float]:
    """Errors without a policy, in each type; vLLM's own routers need its CUDA operators."""

    def routing(hidden_states: Any, gating_output: Tensor, topk: int, renormalize: bool) -> Any:
        best = gating_output.float().softmax(-1).topk(topk)
        return best.values, best.indices.int()

    found = {}
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        config = config_of({})
        layer = layer_of(config, dtype, custom_routing_function=routing)
        x, logits = drawn(dtype)
        weights, ids = routing(None, logits, K, False)
        experts = layer.routed_experts
        expected = plain(x, experts.w13_weight, experts.w2_weight, ids, weights)
        found[str(dtype)] = off(computed(config, layer, x, logits), expected)
        assert experts_of(layer) == "CollegiumTritonExperts"
    return found


def main(folder: str) -> None:
    """Print everything that a test looks at."""
    from vllm.config import set_current_vllm_config

    os.environ["COLLEGIUM_MOE"] = "force"
    with set_current_vllm_config(config_of({})):
        begin()
    found = {
        "plain": plain_layers(),
        "policies": policies(Path(folder)),
        "statistics": statistics(Path(folder)),
        "refusals": refusals(),
        "told": told(),
        "auto": automatic(),
    }
    print(json.dumps(found), file=sys.__stdout__)


if __name__ == "__main__":
    main(*sys.argv[1:])
