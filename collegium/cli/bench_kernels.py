"""`collegium bench kernels`: the sparse experts' kernels beside those of others."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from collegium.cli.output import json_option, print_table

if TYPE_CHECKING:
    from collegium.evals.bench_kernels import KernelBench
    from collegium.evals.kernel_machines import Machine

# Here as well as in evals: help imports no torch, and a test compares them.
SHAPES = ("goals", "olmoe", "quarter", "qwen3-30b-a3b", "mixtral", "embedded")
FORMATS = ("bf16", "int8", "int4", "fp8")
TOKENS = (1, 4, 16, 64, 256, 1024)


@click.command(epilog="Example: collegium bench kernels --quick --json")
@click.option("--shape", multiple=True, type=click.Choice(SHAPES), help="Layers; default: goals.")
@click.option("--format", "formats", multiple=True, type=click.Choice(FORMATS), help="Formats.")
@click.option("--tokens", multiple=True, type=click.IntRange(1, 4096), help="Batch sizes.")
@click.option("--rounds", type=click.IntRange(2, 200), default=15, help="Rounds, after one more.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", help="What computes.")
@click.option("--autotune", is_flag=True, help="Measure the tiles first and keep them; cuda only.")
@click.option("--threads", type=click.IntRange(1, 256), default=1, help="Threads of torch.")
@click.option(
    "--scale-to",
    type=click.IntRange(0, 256),
    default=2,
    help="Also time ours on so many threads in turn with one; 0: don't.",
)
@click.option("--quick", is_flag=True, help="Three batch sizes, five rounds.")
@click.option(
    "--zentorch",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder that zentorch was installed into.",
)
@click.option("--llama-cpp", is_flag=True, help="Also llama.cpp, built at the first time.")
@click.option("--without", multiple=True, metavar="KERNEL", help="Leave one out, as it is printed.")
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
    llama_cpp: bool,
    without: tuple[str, ...],
    as_json: bool,
) -> None:
    """Time the sparse experts' kernels beside those of vLLM, SGLang, zentorch, llama.cpp and torch.

    All take turns on the same batches, with a read of memory and a matrix product in the same loop.
    """
    from collegium.evals.bench_kernels import Plan, bench_kernels
    from collegium.evals.kernel_contenders import Others
    from collegium.evals.kernel_machines import Cpu, Cuda

    machine = Cuda() if device == "cuda" else Cpu()
    again = " ".join(["collegium", *sys.argv[1:]])
    if autotune:
        _autotune(shape or ("goals",), machine, again)
    built = _llama_cpp() if llama_cpp else None
    cores = len(os.sched_getaffinity(0))
    plan = Plan(
        shapes=shape or ("goals",),
        formats=formats or machine.formats,
        tokens=tokens or ((1, 16, 256) if quick else TOKENS),
        rounds=5 if quick else rounds,
        threads=threads,
        scale_to=scale_to if device == "cpu" and threads == 1 < scale_to <= cores else None,
        machine=machine,
        others=Others(zentorch, built, without),
    )
    report = bench_kernels(plan, command=again)
    if as_json:
        click.echo(report.to_json(), nl=False)
    else:
        _show(report)


def _autotune(shapes: tuple[str, ...], machine: Machine, again: str) -> None:
    from collegium.evals.kernel_layers import SHAPES
    from collegium.evals.kernel_tuning import autotune
    from collegium.kernels.moe.triton_tiles import TABLES

    if machine.device != "cuda":
        raise click.UsageError("--autotune is for --device cuda: our C++ has no tiles to choose")
    wanted = [shape for shape in SHAPES if shape.name in shapes]
    path = autotune(wanted, machine.seconds, machine.name, TABLES, again)
    click.echo(f"The tiles are in {path}", err=True)


def _llama_cpp() -> Path:
    from collegium.evals.kernel_llama_build import ensure_llama_cpp
    from collegium.settings import load_settings

    return ensure_llama_cpp(load_settings().cache_dir, lambda said: click.echo(said, err=True))


def _show(report: KernelBench) -> None:
    header = ("LAYER", "FORMAT", "TOKENS", "KERNEL", "TIME", "TIMES OURS", "QUARTILES", "RATE")
    rows = [
        (
            *(t.shape, t.format, t.tokens, t.contender, f"{t.milliseconds:.2f} ms"),
            *(f"{t.ratio:.2f}", f"{t.spread[0]:.2f}-{t.spread[1]:.2f}"),
            f"{t.gflops:.0f} GF/s {t.gigabytes_s:.1f} GB/s",
        )
        for t in report.timings
    ]
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
    if report.goals():
        click.echo()
        goals = [
            (g.what, f"{g.limit:.2f}", f"{g.found:.2f}", "yes" if g.met else "NO")
            for g in report.goals()
        ]
        print_table(("GOAL", "AT LEAST", "FOUND", "MET"), goals)
    click.echo(f"\n{report.processor}, {report.isa}, {report.threads} of torch's threads.")
