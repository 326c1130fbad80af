"""`collegium bench …`: how long a decision takes, and what callers get under load."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from collegium.cli.bench_batch import batch
from collegium.cli.bench_gateway import gateway
from collegium.cli.bench_kernels import kernels
from collegium.cli.bench_load import load
from collegium.cli.bench_sparse import sparse
from collegium.cli.output import json_option, print_table

if TYPE_CHECKING:
    from collegium.evals.bench_router import Latency, RouterBench


@click.group(epilog="Example: collegium bench router --json")
def command() -> None:
    """Time parts of Collegium on this machine."""


command.add_command(batch)
command.add_command(gateway)
command.add_command(kernels)
command.add_command(load)
command.add_command(sparse)


@command.command(epilog="Example: collegium bench router --json")
@click.option("--per-task", type=click.IntRange(2, 500), default=20, help="Prompts a task.")
@click.option("--rounds", type=click.IntRange(1, 100), default=5, help="Rounds over all prompts.")
@click.option("--fit/--no-fit", default=True, help="Also time a fit on 10,000 prompts.")
@click.option("--seed", default=0, help="Which prompts and outcomes.")
@json_option
def router(per_task: int, rounds: int, fit: bool, seed: int, as_json: bool) -> None:
    """Time the router's decisions on one core: both encoders, and pools up to 1,000 experts.

    Nothing is asked or started, and no data set is needed.
    """
    from collegium.evals.bench_router import bench_router

    again = f"collegium bench router --per-task {per_task} --rounds {rounds} --seed {seed}"
    again += "" if fit else " --no-fit"
    report = asyncio.run(
        bench_router(per_task=per_task, rounds=rounds, fit=fit, seed=seed, command=again)
    )
    if as_json:
        click.echo(report.to_json(), nl=False)
    else:
        _show(report)


def _show(report: RouterBench) -> None:
    header = ("DECISION", "P50", "P99", "ROUNDS", "PROCESSOR P50", "P99")
    rows = [(f"{name}, 20 experts", found) for name, found in report.encoders.items()]
    rows += [(f"embedding given, {size} experts", found) for size, found in report.experts.items()]
    print_table(header, [(what, *_cells(found)) for what, found in rows])
    click.echo()
    goals = [
        (g.what, f"{g.limit:g}", f"{g.found:.2f}", "yes" if g.met else "NO") for g in report.goals()
    ]
    print_table(("GOAL", "AT MOST", "FOUND", "MET"), goals)


def _cells(found: Latency) -> tuple[str, ...]:
    low, high = found.spread
    times = (found.p50, found.p99, found.processor_p50, found.processor_p99)
    p50, p99, processor_p50, processor_p99 = (f"{ms:.2f} ms" for ms in times)
    return p50, p99, f"{low:.2f}-{high:.2f} ms", processor_p50, processor_p99
