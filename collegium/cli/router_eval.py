"""`collegium router eval`: a saved router on recorded sets, or the serving one on its decisions."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from collegium.cli.model_names import map_option, model_names, warn_unmatched
from collegium.cli.output import command_line, json_option, print_json, print_table, warn_dropped

if TYPE_CHECKING:
    from collegium.evals.routing.decisions import DecisionsReport, ExpertRecord
    from collegium.evals.routing.routing_report import RoutingReport

MOST_DECISIONS = 100_000
VERSION = "rtr_"


@click.command("eval", epilog="Example: collegium router eval routerdc7 --router-dir ./my-router")
@click.argument("datasets", metavar="[DATASET]…", nargs=-1)
@click.option("--router-dir", type=click.Path(path_type=Path), help="Folder of the router.")
@click.option("--all", "whole", is_flag=True, help="Evaluate on all prompts of the sets.")
@click.option("--test", metavar="DATASET", help="Evaluate on all of this set, as with --all.")
@click.option("--train", metavar="DATASET", help="With --test: for the baselines.")
@map_option
@click.option("--seed", default=0, help="Seed of split and bootstrap.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the data sets.")
@click.option("--markdown", is_flag=True, help="Print the tables as Markdown.")
@json_option
def evaluate(
    datasets: tuple[str, ...],
    markdown: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Evaluate a saved router, by default the one that serves.

    With a DATASET (a folder, or the name of a set in the data folder), it is evaluated like any
    other router (`collegium eval routing`), on prompts that it was not fitted on: the set's
    test part, or all of them with --all or --test. Without a set, its forecasts are compared
    with the outcomes in the registry. With a version (rtr_…) of the running service, rated
    decisions are used to estimate what that version's choices would have been rated.
    """
    _refuse_unclear(datasets, **options)
    if len(datasets) == 1 and datasets[0].startswith(VERSION):
        from collegium.cli.router_versions import show_evaluation

        return show_evaluation(datasets[0], as_json=as_json)
    if options["test"]:
        datasets, options["whole"] = (options["test"],), True
    if not datasets:
        report = asyncio.run(_decisions())
        return print_json(report.as_json()) if as_json else _show(report)
    judged, unmatched = _judge(datasets, **{k: v for k, v in options.items() if k != "test"})
    if as_json:
        return print_json({**judged.to_dict(), "unmatched": unmatched})
    from collegium.cli.eval_routing import print_report

    print_report(judged, markdown=markdown)


def _refuse_unclear(datasets: tuple[str, ...], **options: Any) -> None:
    if datasets and options["test"]:
        raise click.UsageError("name data sets or --test, not both")
    if options["train"] and not options["test"]:
        raise click.UsageError("--train needs --test: the set to judge on")
    if not datasets and not options["test"] and (options["whole"] or options["mapped"]):
        raise click.UsageError("--all and --map are for data sets: name one")


def _judge(
    datasets: tuple[str, ...],
    *,
    router_dir: Path | None,
    whole: bool,
    train: str | None,
    mapped: tuple[str, ...],
    seed: int,
    data: Path | None,
) -> tuple[RoutingReport, list[str]]:
    """The report, and the models that are no registered expert."""
    from collegium.evals.core.provenance import provenance
    from collegium.evals.formats import load_any
    from collegium.evals.routing.embeddings import CachedEncoder, EmbeddingCache
    from collegium.evals.routing.encoders import fitted_on
    from collegium.evals.routing.routing_report import RoutingReport
    from collegium.evals.routing.run import judge
    from collegium.evals.routing.saved import NAME, saved_forecaster, unseen_part
    from collegium.evals.routing.sources import set_folder
    from collegium.router.artifact import folder_of, load
    from collegium.settings import load_settings

    settings = load_settings()
    names = model_names(settings, mapped)
    fitted = load(router_dir or folder_of(settings))
    lesson = None if train is None else set_folder(train, data)
    folders = [set_folder(name, data) for name in datasets]
    models = list(dict.fromkeys(model for folder in folders for model in load_any(folder).models))
    names.check_given(models)
    problems = [
        unseen_part(fitted, folder, train=lesson, whole=whole, seed=seed, names=names)
        for folder in folders
    ]
    for problem in problems:
        warn_dropped(problem.name, problem.dropped)
    eyes, cache = fitted_on(fitted.encoder), EmbeddingCache(settings.cache_dir)
    found = [
        each
        for problem in problems
        for each in judge(
            [problem],
            {NAME: saved_forecaster(fitted, problem.models, CachedEncoder(eyes, cache), names)},
            eyes,
            cache,
            seed=seed,
        )
    ]
    reports = tuple(each.report for each in found)
    origin = provenance(command_line(), seed, {"sets": len(found), "routers": 1})
    report = RoutingReport(fitted.encoder, None, NAME, reports, (), origin)
    return report, warn_unmatched(names, models)


async def _decisions() -> DecisionsReport:
    from collegium.cli.service_client import open_database
    from collegium.evals.routing.decisions import decisions_report
    from collegium.registry.decisions.log import DecisionLog

    async with open_database() as database:
        return decisions_report(await DecisionLog(database).recent(MOST_DECISIONS))


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
        f"\n{report.decisions} decisions, {report.unmeasured} of them among unmeasured experts; "
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
