"""Measure the tiles of our Triton kernel on a GPU, and write the best to the device's table."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch

from collegium.errors import SetupError
from collegium.evals.bench.kernels.cuda import tiled
from collegium.evals.bench.kernels.layers import SHAPES, Batch, Shape, batch, layer
from collegium.evals.bench.kernels.run import KernelBench
from collegium.evals.core.provenance import provenance
from collegium.kernels.moe.triton_tiles import CANDIDATES, Layer, Tile, TileTables

Timer = Callable[[Callable[[], Any]], float]
TUNED_FOR = (1, 16, 64, 256, 1024)  # tokens; the tile is one for all of them
ROUNDS = 10


def autotune(
    shapes: Sequence[Shape], seconds: Timer, name: str, tables: TileTables, command: str
) -> Path:
    """The table of the device `name` with the best tile of each layer; where it was written."""
    best, measured = {}, {}
    for shape in shapes:
        generator = torch.Generator().manual_seed(0)
        batches = [batch(shape, tokens, generator).to("cuda") for tokens in TUNED_FOR]
        size, found = tuned(shape, seconds, batches)
        best[size] = min(found, key=found.__getitem__)
        measured[size.key] = {str(tile): 1000 * taken for tile, taken in found.items()}
    origin = asdict(provenance(command, 0, {"rounds": ROUNDS})) | {"milliseconds": measured}
    return tables.write(name, best, origin)


def record(report: KernelBench, tables: TileTables) -> Path | None:
    """Keep how fast ours is beside vLLM's kernel where that was least, for `COLLEGIUM_MOE=auto`.

    Where it was written; None without a comparison in bfloat16.
    """
    ratios = {}
    for shape in SHAPES:
        told = [
            timing.ratio
            for timing in report.timings
            if (timing.shape, timing.format, timing.contender) == (shape.name, "bf16", "vllm")
        ]
        if told:
            layer = Layer(torch.bfloat16, shape.experts, shape.hidden, shape.inter)
            ratios[layer] = min(told)
    return tables.write_over_vllm(report.processor, ratios) if ratios else None


def tuned(
    shape: Shape,
    seconds: Timer,
    batches: Sequence[Batch],
    candidates: Sequence[Tile] = CANDIDATES,
    rounds: int = ROUNDS,
) -> tuple[Layer, Mapping[Tile, float]]:
    """Each candidate's time, the geometric mean over the batches of its median over rounds.

    Candidates that don't fit the device are left out; SetupError if none fits.
    """
    device = batches[0].x.device.type
    w13, w2 = (matrix.to(device) for matrix in layer(shape))
    found = {}
    for tile in candidates:
        run = tiled(w13, w2, tile, interpreted=device != "cuda")
        try:
            found[tile] = _mean([_median(seconds, partial(run, b), rounds) for b in batches])
        except _misfits():
            continue
    if not found:
        raise SetupError(f"no tile fits this device for {shape.name}")
    return Layer(w13.dtype, shape.experts, shape.hidden, shape.inter), found


def _misfits() -> tuple[type[Exception], ...]:
    """What Triton raises for a tile that is too large."""
    from triton.compiler.errors import CompilationError
    from triton.runtime.errors import OutOfResources

    return OutOfResources, CompilationError


def _median(seconds: Timer, call: Callable[[], Any], rounds: int) -> float:
    call()  # compiles
    return sorted(seconds(call) for _ in range(rounds))[rounds // 2]


def _mean(values: Sequence[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))
