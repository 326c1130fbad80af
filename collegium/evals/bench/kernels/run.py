"""The core of `collegium bench kernels`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from collegium.evals.bench.kernels.contenders import OURS, Others, Run
from collegium.evals.bench.kernels.layers import SHAPES, Shape, batch
from collegium.evals.bench.kernels.machines import Cpu, Machine, Sizes
from collegium.evals.bench.kernels.timings import Probe, Scaling, Timing, quartiles
from collegium.evals.core.provenance import Provenance, provenance
from collegium.kernels.moe.formats import Format

Seconds = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class KernelBench:
    """All timings, with what is needed to make them again."""

    device: str
    processor: str
    isa: str
    threads: int
    timings: tuple[Timing, ...]
    probes: tuple[Probe, ...]
    scalings: tuple[Scaling, ...]
    provenance: Provenance


@dataclass(frozen=True)
class Plan:
    """What is measured: all formats of all shapes at all batch sizes.

    With `scale_to` threads, ours is also timed with so many in turn with `threads`.
    """

    shapes: Sequence[str]
    formats: Sequence[str]
    tokens: Sequence[int]
    rounds: int
    threads: int = 1
    scale_to: int | None = None
    machine: Machine = field(default_factory=Cpu)
    others: Others = field(default_factory=Others)


def bench_kernels(plan: Plan, *, command: str, progress: bool = True) -> KernelBench:
    """Let all contenders take turns on the same batches; torch's threads are as before then."""
    cells = [(s, Format(f)) for s in SHAPES if s.name in plan.shapes for f in plan.formats]
    timings: list[Timing] = []
    probes: list[Probe] = []
    scalings: list[Scaling] = []
    before = torch.get_num_threads()
    torch.set_num_threads(plan.threads)
    try:
        with tqdm(total=len(cells) * len(plan.tokens), unit="size", disable=not progress) as bar:
            for shape, form in cells:
                # A function of its own: two cells' weights are never there at once.
                _cell(plan, shape, form, bar, (timings, probes, scalings))
    finally:
        torch.set_num_threads(before)
    made = provenance(command, 0, {"rounds": plan.rounds, "threads": plan.threads})
    found = tuple(timings), tuple(probes), tuple(scalings)
    return KernelBench(
        plan.machine.device, plan.machine.name, plan.machine.isa, plan.threads, *found, made
    )  # fmt: skip


def _cell(
    plan: Plan,
    shape: Shape,
    form: Format,
    bar: Any,
    into: tuple[list[Timing], list[Probe], list[Scaling]],
) -> None:
    timings, probes, scalings = into
    bar.set_postfix_str(f"{shape.name} {form}: packing")
    runs = dict(plan.machine.contenders(shape, form, plan.others))
    for count in plan.tokens:
        bar.set_postfix_str(f"{shape.name} {form} {count}")
        taken = interleaved(runs, shape, count, plan.rounds, plan.machine)
        timings += _timings(taken, shape, form, count)
        probes.append(_probe(taken, shape, form, count, plan.machine.sizes))
        if plan.scale_to is not None:
            ratio, spread = quartiles(scaled(runs[OURS], shape, count, plan))
            threads = plan.threads, plan.scale_to
            scalings.append(Scaling(shape.name, str(form), count, *threads, ratio, spread))
        bar.update()


def interleaved(
    runs: Mapping[str, Run], shape: Shape, tokens: int, rounds: int, machine: Machine
) -> dict[str, Seconds]:
    """Seconds a call, by contender and round; the first round warms up and is not counted."""
    probes = machine.probes()
    generator = torch.Generator().manual_seed(tokens)
    taken: dict[str, list[float]] = {name: [] for name in (*runs, *probes)}
    for turn in range(rounds + 1):
        given = machine.placed(batch(shape, tokens, generator))
        calls: list[tuple[str, Callable[[], Any]]] = [
            *((name, partial(run, given)) for name, run in runs.items()), *probes.items(),
        ]  # fmt: skip
        first = turn % len(calls)  # nobody always comes after the same neighbour's cache
        for name, call in (*calls[first:], *calls[:first]):
            seconds = machine.seconds(call)
            if turn:
                taken[name].append(seconds)
    return {name: np.array(seconds) for name, seconds in taken.items()}


def scaled(run: Run, shape: Shape, tokens: int, plan: Plan) -> Seconds:
    """How many times as fast a run is on `scale_to` threads, by round and the clock on the wall."""
    generator = torch.Generator().manual_seed(tokens)
    ratios = []
    for turn in range(plan.rounds + 1):
        given = batch(shape, tokens, generator)
        seconds = {}
        counts = (plan.threads, plan.scale_to or 1)
        for threads in counts if turn % 2 else counts[::-1]:
            torch.set_num_threads(threads)
            run(given)  # wakes the threads up, and what was read last is the same for both
            started = time.perf_counter()
            run(given)
            seconds[threads] = time.perf_counter() - started
        if turn:
            ratios.append(seconds[counts[0]] / seconds[counts[1]])
    torch.set_num_threads(plan.threads)
    return np.array(ratios)


def _timings(taken: Mapping[str, Seconds], shape: Shape, form: Format, tokens: int) -> list[Timing]:
    bits = {Format.FP32: 32, Format.BF16: 16, Format.INT8: 8, Format.FP8: 8}.get(form, 4)
    weights = 3 * shape.hidden * shape.inter
    active = shape.experts * (1 - (1 - shape.k / shape.experts) ** tokens)  # expected
    found = []
    for name, seconds in taken.items():
        if name in ("read", "matmul"):
            continue
        ratio, spread = quartiles(seconds / taken[OURS])
        median = float(np.median(seconds))
        found.append(
            Timing(
                shape.name, str(form), tokens, name, 1000 * median, ratio, spread,
                2e-9 * tokens * shape.k * weights / median,
                1e-9 * active * weights * bits / 8 / median,
            )
        )  # fmt: skip
    return found


def _probe(
    taken: Mapping[str, Seconds], shape: Shape, form: Format, tokens: int, sizes: Sizes
) -> Probe:
    read, product = float(np.median(taken["read"])), float(np.median(taken["matmul"]))
    flops = 2e-9 * sizes.matmul**3 / product
    return Probe(shape.name, str(form), tokens, 1e-9 * sizes.read / read, flops)
