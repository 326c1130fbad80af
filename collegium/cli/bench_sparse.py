"""`collegium bench sparse`: sparse models in vLLM, with our kernels and with vLLM's."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from collegium.cli.output import command_line, json_option, print_json, print_table

if TYPE_CHECKING:
    from collegium.evals.bench.sparse.run import SparseBench


@click.command(epilog="Example: collegium bench sparse --model mixture --rounds 5 --json")
@click.option(
    "--model",
    "models",
    multiple=True,
    default=("mixture", "olmoe"),
    help="mixture (the pool's), olmoe (random weights) or a folder; repeatable.",
)
@click.option(
    "--layers", type=click.IntRange(1, 16), default=4, help="Layers of olmoe, 0.8 GB each."
)
@click.option("--rounds", type=click.IntRange(2, 200), default=7, help="Rounds after warm-up.")
@click.option(
    "--zentorch",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of zentorch; adds two engines that use it.",
)
@json_option
def sparse(
    models: tuple[str, ...], layers: int, rounds: int, zentorch: Path | None, as_json: bool
) -> None:
    """Measure vLLM's tokens per second on sparse models, with our kernels and its own.

    The engines are all loaded and run the same prompts alternately: long prompts with one token of
    answer, and short prompts with long answers.
    """
    from collegium.evals.bench.sparse.models import found
    from collegium.evals.bench.sparse.run import Plan, bench_sparse, variants
    from collegium.settings import load_settings

    cache = load_settings().cache_dir
    with tempfile.TemporaryDirectory() as scratch:
        known = [
            found(name, layers, cache, Path(scratch), lambda said: click.echo(said, err=True))
            for name in models
        ]
        report = bench_sparse(Plan(known, variants(zentorch), rounds), command=command_line())
    if as_json:
        return print_json(asdict(report))
    _show(report)


def _show(report: SparseBench) -> None:
    header = ("MODEL", "WORK", "ENGINE", "EXPERTS BY", "TOKENS/S", "TIMES VLLM", "QUARTILES")
    rows = [
        (
            r.model, r.workload, r.variant, r.experts, f"{r.tokens_s:.1f}", f"{r.ratio:.2f}",
            f"{r.spread[0]:.2f}-{r.spread[1]:.2f}",
        )
        for r in report.rates
    ]  # fmt: skip
    print_table(header, rows)
    for name, why in report.left_out.items():
        click.echo(f"Left out: {name}: {why}", err=True)
    click.echo(f"\n{report.processor}")
