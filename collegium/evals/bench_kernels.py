"""How fast the experts are computed beside others: the core of `collegium bench kernels`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from collegium.evals.kernel_contenders import SHAPES, Run, Shape, batch, contenders
from collegium.evals.provenance import Provenance, provenance
from collegium.kernels.moe.formats import Format
from collegium.kernels.moe.isa import chosen

FORMATS = (Format.BF16, Format.INT8, Format.INT4, Format.FP8)
PROBE_BYTES = 1 << 28
PROBE_SIZE = 1024


@dataclass(frozen=True)
class Timing:
    """One contender on one batch size, over the rounds.

    `ratio` is its time over ours in the same round, the median; above 1 ours is faster. `spread`
    holds its quartiles.
    """

    shape: str
    format: str
    tokens: int
    contender: str
    milliseconds: float
    ratio: float
    spread: tuple[float, float]
    gflops: float
    gigabytes_s: float


@dataclass(frozen=True)
class Probe:
    """Medians in the same loop: a read of 256 MiB, and oneDNN's bfloat16 product of 1024 cubed."""

    shape: str
    format: str
    tokens: int
    read_gigabytes_s: float
    matmul_gflops: float


@dataclass(frozen=True)
class KernelBench:
    """All timings, with what is needed to make them again."""

    isa: str
    threads: int
    timings: tuple[Timing, ...]
    probes: tuple[Probe, ...]
    provenance: Provenance

    def to_json(self) -> str:
        """One JSON document."""
        return json.dumps(asdict(self), indent=2) + "\n"


def bench_kernels(
    *,
    shapes: Sequence[str],
    formats: Sequence[str],
    tokens: Sequence[int],
    rounds: int,
    threads: int,
    zentorch: Path | None,
    command: str,
    progress: bool = True,
) -> KernelBench:
    """Let all contenders take turns on the same batches."""
    torch.set_num_threads(threads)
    cells = [(s, Format(f)) for s in SHAPES if s.name in shapes for f in formats]
    timings: list[Timing] = []
    probes: list[Probe] = []
    with tqdm(total=len(cells) * len(tokens), unit="batch size", disable=not progress) as bar:
        for shape, form in cells:
            runs = dict(contenders(shape, form, zentorch))
            for count in tokens:
                bar.set_postfix_str(f"{shape.name} {form} {count}")
                taken = interleaved(runs, shape, count, rounds)
                timings += _timings(taken, shape, form, count)
                probes.append(_probe(taken, shape, form, count))
                bar.update()
    made = provenance(command, 0, {"rounds": rounds, "threads": threads})
    return KernelBench(str(chosen()), threads, tuple(timings), tuple(probes), made)


def interleaved(
    runs: Mapping[str, Run], shape: Shape, tokens: int, rounds: int
) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
    """Seconds a call, by contender and round; the first round warms up and is not counted.

    On one thread the processor's time, which does not grow when others want the same core.
    """
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    memory = torch.ones(PROBE_BYTES // 4)
    square = torch.ones(PROBE_SIZE, PROBE_SIZE, dtype=torch.bfloat16)
    generator = torch.Generator().manual_seed(tokens)
    taken: dict[str, list[float]] = {name: [] for name in (*runs, "read", "matmul")}
    for turn in range(rounds + 1):
        given = batch(shape, tokens, generator)
        calls: list[tuple[str, Callable[[], Any]]] = [
            (name, partial(run, given)) for name, run in runs.items()
        ]
        calls += [("read", memory.sum), ("matmul", lambda: square @ square)]
        first = turn % len(calls)  # nobody always comes after the same neighbour's cache
        for name, call in (*calls[first:], *calls[:first]):
            started = clock()
            call()
            if turn:
                taken[name].append(clock() - started)
    return {name: np.array(seconds) for name, seconds in taken.items()}


def _timings(taken: Mapping[str, Any], shape: Shape, form: Format, tokens: int) -> list[Timing]:
    bits = {Format.FP32: 32, Format.BF16: 16, Format.INT8: 8, Format.FP8: 8}.get(form, 4)
    weights = 3 * shape.hidden * shape.inter
    active = shape.experts * (1 - (1 - shape.k / shape.experts) ** tokens)  # expected
    found = []
    for name, seconds in taken.items():
        if name in ("read", "matmul"):
            continue
        low, middle, high = np.percentile(seconds / taken["ours"], [25, 50, 75])
        median = float(np.median(seconds))
        found.append(
            Timing(
                shape.name, str(form), tokens, name, 1000 * median, float(middle),
                (float(low), float(high)), 2e-9 * tokens * shape.k * weights / median,
                1e-9 * active * weights * bits / 8 / median,
            )
        )  # fmt: skip
    return found


def _probe(taken: Mapping[str, Any], shape: Shape, form: Format, tokens: int) -> Probe:
    read, product = float(np.median(taken["read"])), float(np.median(taken["matmul"]))
    flops = 2e-9 * PROBE_SIZE**3 / product
    return Probe(shape.name, str(form), tokens, 1e-9 * PROBE_BYTES / read, flops)
