"""`collegium bench batch`: a bulk job on real engines that take turns."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from collegium.cli.output import command_line, json_option, print_json, print_table

if TYPE_CHECKING:
    from collegium.evals.bench.batch import BatchBench


@click.command(epilog="Example: collegium bench batch --json")
@click.option(
    "--expert",
    "experts",
    multiple=True,
    default=("conversion", "json", "sql"),
    help="Embedded specialist, here on its own engine; repeatable.",
)
@click.option("--lines", type=click.IntRange(1, 5000), default=150, help="Lines per expert.")
@click.option(
    "--stretches",
    type=click.IntRange(1, 1000),
    default=4,
    help="Lines of one engine in a row to measure in arrival order.",
)
@click.option("--seed", default=0, help="Seed of the questions.")
@click.option("--work", type=click.Path(path_type=Path), help="Folder of partial results.")
@json_option
def batch(
    experts: tuple[str, ...],
    lines: int,
    stretches: int,
    seed: int,
    work: Path | None,
    as_json: bool,
) -> None:
    """Time a bulk job with room for one engine: in groups, and in arrival order.

    Starts real engines, one at a time. An interrupted run continues where it stopped.
    """
    report = asyncio.run(_measure(experts, lines, stretches, seed, work, command_line()))
    if as_json:
        print_json(report.to_dict())
    else:
        _show(report)


async def _measure(
    experts: tuple[str, ...], lines: int, stretches: int, seed: int, work: Path | None, again: str
) -> BatchBench:
    import shutil

    from collegium.errors import SetupError
    from collegium.evals.bench.batch import Bench
    from collegium.experts.configured import embedded_engine
    from collegium.experts.embedded import ensure_base_model
    from collegium.experts.residency.live import Residents
    from collegium.experts.residency.lru import Lru
    from collegium.experts.residency.view import EngineCost
    from collegium.experts.roster import GENERALIST
    from collegium.experts.specialists import SPECIALISTS
    from collegium.experts.supervisor import USUAL_START_S, Supervisor
    from collegium.experts.vllm import EngineSpec
    from collegium.settings import load_settings

    if unknown := sorted(set(experts) - set(SPECIALISTS)):
        raise SetupError(f"there is no embedded specialist {', '.join(unknown)}")
    settings = load_settings()
    ensure_base_model(settings.cache_dir)
    engines = {
        name: Supervisor(
            EngineSpec(
                embedded_engine(settings, name),
                served_name=GENERALIST,
                python=settings.engine_python,
            ),
            settings.data_dir / "logs" / f"bench-{name}.log",
            start_timeout_s=settings.engine_start_timeout_s,
        )
        for name in dict.fromkeys(experts)
    }
    what = f"{'-'.join(engines)}-{lines}-{stretches}-{seed}"
    folder = work or settings.cache_dir / "bench-batch" / what
    one = EngineCost(1.0, USUAL_START_S)  # of a budget of 1: there is room for one
    residents = Residents(1.0, Lru())
    for engine in engines.values():
        residents.register(engine, one)
    bench = Bench(residents, settings.request_timeout_s, folder)
    found = await bench.run(lines, stretches, seed, again)
    if work is None:
        shutil.rmtree(folder)  # measured whole: next time it is measured anew
    return found


def _show(report: BatchBench) -> None:
    job, order = report.job, report.arrival_order
    rows = [
        (name, f"{job.load_s[name]:.1f} s", f"{job.answer_s[name]:.1f} s", job.tokens[name])
        for name in job.load_s
    ]
    print_table(("ENGINE", "LOAD", "ANSWERS", "TOKENS"), rows)
    click.echo(
        f"\n{report.lines} lines in groups: {job.makespan_s:.0f} s, {report.over_bound:.2f} times "
        f"the bound of {job.bound_s:.0f} s.\n"
        f"In arrival order: {order.seconds:.0f} s for the first {order.lines} lines "
        f"({order.stretches} of {order.all_stretches} stretches), so about "
        f"{order.makespan_s:.0f} s: {report.speed_up:.0f} times as long."
    )
