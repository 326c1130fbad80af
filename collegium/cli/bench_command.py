"""`collegium bench …`: latency and throughput of the router, the gateway, engines and kernels."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from collegium.cli.bench_batch import batch
from collegium.cli.bench_gateway import gateway
from collegium.cli.bench_gpu import gpu
from collegium.cli.bench_kernels import kernels
from collegium.cli.bench_load import load
from collegium.cli.bench_sparse import sparse
from collegium.cli.output import command_line, json_option, print_json, print_table

if TYPE_CHECKING:
    from collegium.evals.bench.router import Latency, RouterBench


@click.group(epilog="Example: collegium bench router --json")
def command() -> None:
    """Time parts of Collegium on this machine."""


command.add_command(batch)
command.add_command(gateway)
command.add_command(gpu)
command.add_command(kernels)
command.add_command(load)
command.add_command(sparse)


@command.command(epilog="Example: collegium bench router --json")
@click.option("--per-task", type=click.IntRange(2, 500), default=20, help="Prompts per task.")
@click.option("--rounds", type=click.IntRange(1, 100), default=5, help="Rounds over all prompts.")
@click.option("--fit/--no-fit", default=True, help="Also time a fit on 10,000 prompts.")
@click.option("--seed", default=0, help="Seed of the data.")
@json_option
def router(per_task: int, rounds: int, fit: bool, seed: int, as_json: bool) -> None:
    """Time the router's decisions on one core: both encoders, and pools up to 1,000 experts.

    Needs neither a service nor a data set.
    """
    from collegium.evals.bench.router import bench_router

    measured = bench_router(
        per_task=per_task, rounds=rounds, fit=fit, seed=seed, command=command_line()
    )
    report = asyncio.run(measured)
    if as_json:
        return print_json(asdict(report))
    _show(report)


def _show(report: RouterBench) -> None:
    header = ("DECISION", "P50", "P99", "ROUNDS", "PROCESSOR P50", "P99")
    rows = [(f"{name}, 20 experts", found) for name, found in report.encoders.items()]
    rows += [(f"embedding given, {size} experts", found) for size, found in report.experts.items()]
    print_table(header, [(what, *_cells(found)) for what, found in rows])
    taken = f"reading a fitted router {report.load_s:.2f} s"
    if report.fit_s is not None:
        taken += f", fitting one to 10,000 prompts of 20 experts {report.fit_s:.1f} s"
    click.echo(f"\nProcessor time: {taken}.")


def _cells(found: Latency) -> tuple[str, ...]:
    low, high = found.spread
    times = (found.p50, found.p99, found.processor_p50, found.processor_p99)
    p50, p99, processor_p50, processor_p99 = (f"{ms:.2f} ms" for ms in times)
    return p50, p99, f"{low:.2f}-{high:.2f} ms", processor_p50, processor_p99
