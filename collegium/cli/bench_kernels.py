"""`collegium bench kernels`: the sparse experts' kernels, compared with others."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from collegium.cli.output import command_line, json_option, print_json, print_table

if TYPE_CHECKING:
    from collegium.evals.bench.kernels.machines import Machine
    from collegium.evals.bench.kernels.run import KernelBench

# Here as well as in evals: help imports no torch, and a test compares them.
SHAPES = ("olmoe", "quarter", "qwen3-30b-a3b", "mixtral", "embedded")
FORMATS = ("bf16", "int8", "int4", "fp8")
TOKENS = (1, 4, 16, 64, 256, 1024)


@click.command(epilog="Example: collegium bench kernels --quick --json")
@click.option("--shape", multiple=True, type=click.Choice(SHAPES), help="Layers; default: olmoe.")
@click.option(
    "--format", "formats", multiple=True, type=click.Choice(FORMATS), help="Weight format."
)
@click.option("--tokens", multiple=True, type=click.IntRange(1, 4096), help="Batch size.")
@click.option("--rounds", type=click.IntRange(2, 200), default=15, help="Rounds after warm-up.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", help="Device to use.")
@click.option("--autotune", is_flag=True, help="Tune and store tile sizes; cuda only.")
@click.option("--threads", type=click.IntRange(1, 256), default=1, help="Threads of torch.")
@click.option(
    "--scale-to",
    type=click.IntRange(0, 256),
    default=2,
    help="Also time ours on this many threads; 0: don't.",
)
@click.option("--quick", is_flag=True, help="Three batch sizes, five rounds.")
@click.option(
    "--zentorch",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder that zentorch was installed into.",
)
@click.option("--without", multiple=True, metavar="KERNEL", help="Leave this kernel out.")
@json_option
def kernels(
    shape: tuple[str, ...],
    formats: tuple[str, ...],
    tokens: tuple[int, ...],
    rounds: int,
    device: str,
    autotune: bool,
    threads: int,
    scale_to: int,
    quick: bool,
    zentorch: Path | None,
    without: tuple[str, ...],
    as_json: bool,
) -> None:
    """Time the sparse experts' kernels beside those of vLLM, SGLang, zentorch and torch.

    All run alternately on the same batches, with a memory read and a matrix product for reference.
    """
    from collegium.evals.bench.kernels.contenders import Others
    from collegium.evals.bench.kernels.machines import Cpu, Cuda
    from collegium.evals.bench.kernels.run import Plan, bench_kernels

    machine = Cuda() if device == "cuda" else Cpu()
    again = command_line()
    if autotune:
        _autotune(shape or ("olmoe",), machine, again)
    cores = len(os.sched_getaffinity(0))
    plan = Plan(
        shapes=shape or ("olmoe",),
        formats=formats or machine.formats,
        tokens=tokens or ((1, 16, 256) if quick else TOKENS),
        rounds=5 if quick else rounds,
        threads=threads,
        scale_to=scale_to if device == "cpu" and threads == 1 < scale_to <= cores else None,
        machine=machine,
        others=Others(zentorch, without),
    )
    report = bench_kernels(plan, command=again)
    if device == "cuda":
        _record(report)
    if as_json:
        return print_json(asdict(report))
    _show(report)


def _autotune(shapes: tuple[str, ...], machine: Machine, again: str) -> None:
    from collegium.evals.bench.kernels.layers import SHAPES
    from collegium.evals.bench.kernels.tuning import autotune
    from collegium.kernels.moe.triton_tiles import TABLES

    if machine.device != "cuda":
        raise click.UsageError("--autotune is for --device cuda: our C++ has no tiles to choose")
    wanted = [shape for shape in SHAPES if shape.name in shapes]
    path = autotune(wanted, machine.seconds, machine.name, TABLES, again)
    click.echo(f"The tiles are in {path}", err=True)


def _record(report: KernelBench) -> None:
    from collegium.evals.bench.kernels.tuning import record
    from collegium.kernels.moe.triton_tiles import TABLES

    path = record(report, TABLES)
    words = "vLLM's kernel did not run: COLLEGIUM_MOE=auto keeps it" if path is None else str(path)
    click.echo(f"Compared with vLLM's: {words}", err=True)


def _show(report: KernelBench) -> None:
    header = ("LAYER", "FORMAT", "TOKENS", "KERNEL", "TIME", "TIMES OURS", "QUARTILES", "RATE")
    rows = [
        (
            t.shape, t.format, t.tokens, t.contender, f"{t.milliseconds:.2f} ms",
            f"{t.ratio:.2f}", f"{t.spread[0]:.2f}-{t.spread[1]:.2f}",
            f"{t.gflops:.0f} GF/s {t.gigabytes_s:.1f} GB/s",
        )
        for t in report.timings
    ]  # fmt: skip
    print_table(header, rows)
    click.echo()
    scaled = {(s.shape, s.format, s.tokens): s for s in report.scalings}
    probes = []
    for p in report.probes:
        cells = [p.shape, p.format, p.tokens, f"{p.read_gigabytes_s:.1f} GB/s"]
        gain = scaled.get((p.shape, p.format, p.tokens))
        told = f"{gain.ratio:.2f} times on {gain.to} threads" if gain else ""
        probes.append((*cells, f"{p.matmul_gflops:.0f} GF/s", told))
    print_table(("LAYER", "FORMAT", "TOKENS", "READ", "MATMUL", "OURS"), probes)
    click.echo(f"\n{report.processor}, {report.isa}, {report.threads} of torch's threads.")
