"""The kernels compared on a GPU: our Triton kernel, vLLM's, and torch's grouped product."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from torch import Tensor

from collegium.evals.bench.kernels.contenders import HALF, OURS, Others, Run, grouped_mm
from collegium.evals.bench.kernels.layers import Shape, layer
from collegium.kernels.moe.triton_tiles import Tile


def contenders(
    shape: Shape, others: Others, device: str, *, interpreted: bool = False
) -> Iterator[tuple[str, Run]]:
    """Those that are there, ours first, in bfloat16."""
    w13, w2 = (matrix.to(device) for matrix in layer(shape))
    ours = tiled(w13, w2, interpreted=interpreted)
    yield OURS, ours
    yield HALF, lambda b: ours(replace(b, ids=b.half))
    if "vllm" not in others.without and device == "cuda" and importlib.util.find_spec("vllm"):
        yield "vllm", _vllm(w13, w2)
    if "torch grouped_mm" not in others.without:
        yield "torch grouped_mm", grouped_mm(w13, w2)


def tiled(w13: Tensor, w2: Tensor, tile: Tile | None = None, *, interpreted: bool = False) -> Run:
    """Our kernel with a tile, or with the layer's own."""
    from collegium.kernels.moe.triton_experts import fused_experts

    return lambda b: fused_experts(
        b.x, w13, w2, b.ids, b.weights, tile=tile, interpreted=interpreted
    )


def _vllm(w13: Tensor, w2: Tensor) -> Run:
    """The function over vLLM's Triton kernel, with the tiles that vLLM has for the device."""
    fused: Any = importlib.import_module("vllm.model_executor.layers.fused_moe").fused_experts
    return lambda b: fused(b.x, w13, w2, b.weights, b.ids)
