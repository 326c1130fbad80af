"""`collegium bench sparse`: sparse models in vLLM, with our kernels and with its own."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from collegium.cli.output import json_option, print_table

if TYPE_CHECKING:
    from collegium.evals.bench_sparse import SparseBench


@click.command(epilog="Example: collegium bench sparse --model mixture --rounds 5 --json")
@click.option(
    "--model",
    "models",
    multiple=True,
    default=("mixture", "olmoe"),
    help="mixture (the pool's), olmoe (random weights) or a folder; may be repeated.",
)
@click.option(
    "--layers", type=click.IntRange(1, 16), default=4, help="Layers of olmoe, 0.8 GB each."
)
@click.option("--rounds", type=click.IntRange(2, 200), default=7, help="Rounds, after one more.")
@click.option(
    "--zentorch",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of zentorch: two more engines that have it.",
)
@json_option
def sparse(
    models: tuple[str, ...], layers: int, rounds: int, zentorch: Path | None, as_json: bool
) -> None:
    """Time vLLM's tokens a second on sparse models, with our kernels and with its own.

    One engine each, all loaded, which take turns with the same prompts: long ones with one token
    of answer, and short ones with long answers.
    """
    from collegium.evals.bench_sparse import Plan, bench_sparse, variants
    from collegium.evals.sparse_models import found
    from collegium.settings import load_settings

    again = " ".join(["collegium", *sys.argv[1:]])
    cache = load_settings().cache_dir
    with tempfile.TemporaryDirectory() as scratch:
        known = [
            found(name, layers, cache, Path(scratch), lambda said: click.echo(said, err=True))
            for name in models
        ]
        report = bench_sparse(Plan(known, variants(zentorch), rounds), command=again)
    if as_json:
        click.echo(report.to_json(), nl=False)
    else:
        _show(report)


def _show(report: SparseBench) -> None:
    header = ("MODEL", "WORK", "ENGINE", "EXPERTS BY", "TOKENS/S", "TIMES VLLM", "QUARTILES")
    rows = [
        (
            *(r.model, r.workload, r.variant, r.experts, f"{r.tokens_s:.1f}", f"{r.ratio:.2f}"),
            f"{r.spread[0]:.2f}-{r.spread[1]:.2f}",
        )
        for r in report.rates
    ]
    print_table(header, rows)
    for name, why in report.left_out.items():
        click.echo(f"Left out: {name}: {why}", err=True)
    click.echo(f"\n{report.processor}")
