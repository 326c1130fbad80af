"""Compare rows of vLLM's sparse layer in a batch and with other neighbours: `python -m … POLICY…`.

It prints one JSON line, with an entry a policy: how many rows were computed again in subsets, in
reverse and beside copies of one row, and how many came out in other bits.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

EXPERTS, K, HIDDEN, INTER, ROWS = 8, 3, 128, 96, 60


def begin() -> None:
    """Load the plugin, and make the one group of processes that layers expect to be in."""
    from vllm.distributed import init_distributed_environment, initialize_model_parallel
    from vllm.plugins import load_general_plugins

    load_general_plugins()
    with tempfile.TemporaryDirectory() as folder:
        meeting = (Path(folder) / "meeting").as_uri()
        init_distributed_environment(1, 0, meeting, 0, "gloo")
        initialize_model_parallel(1, 1)


def sparse_layer() -> Any:
    """vLLM's own layer as models make it, with random weights, through the plugin's seams."""
    from vllm.model_executor.layers.fused_moe.layer import FusedMoEFactory

    layer = FusedMoEFactory(
        EXPERTS, K, HIDDEN, INTER, params_dtype=torch.bfloat16, prefix="model.layers.3.experts"
    )
    torch.manual_seed(0)
    experts = layer.routed_experts
    for parameter in experts.parameters():
        torch.nn.init.normal_(parameter, std=0.08)
    experts.quant_method.process_weights_after_loading(experts)
    return layer


def compared(layer: Any, x: Tensor, logits: Tensor) -> tuple[int, int]:
    """How many rows were computed again, and how many of them changed."""
    whole = layer(x.clone(), logits.clone())
    parts = [torch.tensor([row]) for row in range(ROWS)]
    parts += [torch.arange(size) for size in (2, 5, 6, 7, 31)]
    parts += [torch.arange(ROWS).flip(0), torch.tensor([4, *[9] * 200])]
    changed = 0
    for part in parts:
        again = layer(x[part].clone(), logits[part].clone())
        changed += int((again.view(torch.int16) != whole[part].view(torch.int16)).any(-1).sum())
    return sum(map(len, parts)), changed


def found(policy: dict[str, Any]) -> dict[str, Any]:
    """What changed under a policy."""
    from vllm.config import VllmConfig, set_current_vllm_config
    from vllm.forward_context import set_forward_context

    config = VllmConfig(additional_config={"collegium": {"token_policy": policy}})
    x = torch.randn(ROWS, HIDDEN, generator=torch.Generator().manual_seed(1)).bfloat16()
    logits = torch.randn(ROWS, EXPERTS, generator=torch.Generator().manual_seed(2)).bfloat16()
    logits[::7] = logits[::7].round()  # ties
    with set_current_vllm_config(config), torch.inference_mode():
        layer = sparse_layer()
        with set_forward_context(None, config):
            rows, changed = compared(layer, x, logits)
    kernel = layer.routed_experts.quant_method.moe_kernel.fused_experts
    return {"experts": type(kernel).__name__, "rows": rows, "changed": changed}


def main(*policies: str) -> None:
    """Print what changed under each."""
    from vllm.config import VllmConfig, set_current_vllm_config

    with set_current_vllm_config(VllmConfig()):
        begin()
    print(json.dumps([found(json.loads(policy)) for policy in policies]), file=sys.__stdout__)


if __name__ == "__main__":
    main(*sys.argv[1:])
