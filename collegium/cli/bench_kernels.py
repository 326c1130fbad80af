"""`collegium bench kernels`: the sparse experts' kernels beside those of others."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from collegium.cli.output import json_option, print_table

if TYPE_CHECKING:
    from collegium.evals.bench_kernels import KernelBench

# Here as well as in evals: help imports no torch, and a test compares them.
SHAPES = ("goals", "quarter", "qwen3-30b-a3b", "mixtral", "embedded")
FORMATS = ("bf16", "int8", "int4", "fp8")


@click.command(epilog="Example: collegium bench kernels --quick --json")
@click.option("--shape", multiple=True, type=click.Choice(SHAPES), help="Layers; default: goals.")
@click.option("--format", "formats", multiple=True, type=click.Choice(FORMATS), help="Formats.")
@click.option("--tokens", multiple=True, type=click.IntRange(1, 4096), help="Batch sizes.")
@click.option("--rounds", type=click.IntRange(2, 200), default=15, help="Rounds, after one more.")
@click.option("--threads", type=click.IntRange(1, 256), default=1, help="Threads of torch.")
@click.option("--quick", is_flag=True, help="Three batch sizes, five rounds.")
@click.option(
    "--zentorch",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder that zentorch was installed into.",
)
@json_option
def kernels(
    shape: tuple[str, ...],
    formats: tuple[str, ...],
    tokens: tuple[int, ...],
    rounds: int,
    threads: int,
    quick: bool,
    zentorch: Path | None,
    as_json: bool,
) -> None:
    """Time the sparse experts' kernels beside those of vLLM, SGLang, zentorch and torch.

    All take turns on the same batches, with a read of memory and a matrix product in the same loop.
    """
    from collegium.evals.bench_kernels import bench_kernels

    report = bench_kernels(
        shapes=shape or ("goals",),
        formats=formats or FORMATS,
        tokens=tokens or ((1, 16, 256) if quick else (1, 4, 16, 64, 256, 1024)),
        rounds=5 if quick else rounds,
        threads=threads,
        zentorch=zentorch,
        command=" ".join(["collegium", *sys.argv[1:]]),
    )
    if as_json:
        click.echo(report.to_json(), nl=False)
        return
    _show(report)


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
    probes = [
        (
            *(p.shape, p.format, p.tokens, f"{p.read_gigabytes_s:.1f} GB/s"),
            f"{p.matmul_gflops:.0f} GF/s",
        )
        for p in report.probes
    ]
    print_table(("LAYER", "FORMAT", "TOKENS", "READ", "MATMUL"), probes)
