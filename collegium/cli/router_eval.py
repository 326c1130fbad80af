"""`collegium router eval`: a saved router on recorded sets, or the served one on its decisions."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from collegium.cli.output import json_option, print_json, print_table

if TYPE_CHECKING:
    from collegium.evals.decisions import DecisionsReport, ExpertRecord
    from collegium.evals.routing.routing_report import RoutingReport

MOST_DECISIONS = 100_000


@click.command("eval", epilog="Example: collegium router eval routerdc7 --router-dir ./my-router")
@click.argument("datasets", metavar="[DATASET]…", nargs=-1)
@click.option("--router-dir", type=click.Path(path_type=Path), help="The router's folder.")
@click.option("--seed", default=0, help="Seed of the split, as in training, and the bootstrap.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the shared data sets.")
@click.option("--markdown", is_flag=True, help="Print the tables as Markdown.")
@json_option
def evaluate(
    datasets: tuple[str, ...],
    router_dir: Path | None,
    seed: int,
    data: Path | None,
    markdown: bool,
    as_json: bool,
) -> None:
    """Judge a router that was saved, by default the one that is served.

    With a DATASET, a folder or the name of a shared set, it is judged like any other router
    (`collegium eval routing`), on prompts that it was not fitted on. Without one, the registry's
    recorded decisions say how its forecasts compare with what came.
    """
    if not datasets:
        report = asyncio.run(_decisions())
        return print_json(report.as_json()) if as_json else _show(report)
    judged = _judge(datasets, router_dir, seed, data)
    if as_json:
        return click.echo(judged.to_json(), nl=False)
    from collegium.cli.eval_routing import print_report

    print_report(judged, markdown=markdown)


def _judge(
    datasets: tuple[str, ...], router_dir: Path | None, seed: int, data: Path | None
) -> RoutingReport:
    from collegium.evals.provenance import provenance
    from collegium.evals.routing.embeddings import EmbeddingCache
    from collegium.evals.routing.encoders import fitted_on
    from collegium.evals.routing.routing_report import RoutingReport
    from collegium.evals.routing.run import judge
    from collegium.evals.routing.saved import NAME, saved_forecaster, unseen_part
    from collegium.evals.routing.sources import set_folder
    from collegium.router.artifact import BUNDLED, load
    from collegium.settings import load_settings

    settings = load_settings()
    fitted = load(router_dir or settings.router_dir or BUNDLED)
    problems = [unseen_part(fitted, set_folder(name, data), seed=seed) for name in datasets]
    eyes, cache = fitted_on(fitted.encoder), EmbeddingCache(settings.cache_dir)
    found = [
        each
        for problem in problems
        for each in judge(
            [problem], {NAME: saved_forecaster(fitted, problem.models)}, eyes, cache, seed=seed
        )
    ]
    command = f"collegium router eval {' '.join(datasets)} --seed {seed}"
    reports = tuple(each.report for each in found)
    origin = provenance(command, seed, {"sets": len(found), "routers": 1})
    return RoutingReport(fitted.encoder, None, NAME, reports, (), origin)


async def _decisions() -> DecisionsReport:
    from collegium.evals.decisions import decisions_report
    from collegium.registry.database import Database
    from collegium.registry.decisions import DecisionLog
    from collegium.settings import load_settings

    database = Database(load_settings().registry_url)
    try:
        await database.migrate()
        return decisions_report(await DecisionLog(database).recent(MOST_DECISIONS))
    finally:
        await database.close()


def _show(report: DecisionsReport) -> None:
    header = (
        "EXPERT",
        "DECISIONS",
        "FAILED",
        "RATED",
        "GOOD",
        "FORECAST",
        "COST RATIO",
        "TIME RATIO",
    )
    print_table(header, [_row(expert) for expert in report.experts])
    click.echo(
        f"\n{report.decisions} decisions, {report.unfamiliar} of them unfamiliar queries; "
        f"{report.rated} rated."
    )
    if report.ece is None:
        return click.echo("Too few ratings of forecast answers to tell their calibration.")
    click.echo(f"Forecasts of rated answers: ECE {report.ece:.3f}, Brier {report.brier:.3f}.")


def _row(expert: ExpertRecord) -> tuple[str, ...]:
    def share(value: float | None) -> str:
        return "-" if value is None else f"{value:.1%}"

    def ratio(value: float | None) -> str:
        return "-" if value is None else f"{value:.2f}"

    return (
        expert.expert,
        str(expert.decisions),
        str(expert.failed),
        str(expert.rated),
        share(expert.good),
        share(expert.forecast),
        ratio(expert.cost_ratio),
        ratio(expert.latency_ratio),
    )
