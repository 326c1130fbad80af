"""`collegium eval routing`: routers and baselines on recorded outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from collegium.cli.output import command_line, print_table, warn_dropped
from collegium.cli.recorded_sets import two_sets_options

if TYPE_CHECKING:
    from collegium.evals.routing.routing_report import RoutingReport

PROBES, DRAWS = (50,), 1
"""With --leave-out model: the number of probes of a newcomer, and how often they are drawn."""
NO_JOINING = ("routers", "peers", "train_size", "pool", "html", "markdown")
"""Options that say nothing of a model that joins."""


@click.command(epilog="Example: collegium eval routing routerdc7 --html routing.html")
@click.argument("datasets", metavar="DATASET…", nargs=-1)
@click.option("--router", "routers", multiple=True, help="Evaluate this router; repeatable.")
@click.option("--peer", "peers", multiple=True, help="Also another project's router.")
@click.option("--peer-limit", default=600.0, show_default=True, help="Seconds for a peer to learn.")
@two_sets_options
@click.option(
    "--leave-out",
    type=click.Choice(["task", "domain", "model"]),
    help="Evaluate on what is left out.",
)
@click.option("--train-size", type=click.IntRange(10), help="Learn from only this many prompts.")
@click.option("--pool", help="Only these models, comma-separated.")
@click.option(
    "--robustness",
    type=click.IntRange(0),
    default=100,
    show_default=True,
    help="Disturb this many judged prompts of each set; 0 for none.",
)
@click.option("--seed", default=0, help="Seed of the split and the bootstrap.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the data sets.")
@click.option("--encoder", default="minilm", show_default=True, help="minilm or static, +surface.")
@click.option("--markdown", is_flag=True, help="Print the tables as Markdown.")
@click.option("--json", "json_file", is_flag=False, flag_value="-", help="Write JSON; - prints it.")
@click.option("--html", type=click.Path(path_type=Path), help="Write a page with plots.")
def routing(
    json_file: str | None, html: Path | None, markdown: bool, data: Path | None, **asked: Any
) -> None:
    """Evaluate routers on recorded outcomes, against baselines and the oracle.

    DATASET is a folder, or the name of a set in the data folder [default: all of them]. With
    --leave-out model, each model is added again with 50 probes (`collegium eval newcomers`).
    """
    refuse_swallowed_set(json_file, data)
    if asked["leave_out"] == "model":
        return _leave_out_models(json_file, data)
    report = _evaluate(data=data, **asked)
    if html is not None:
        from collegium.evals.routing.page import html_page

        html.write_text(html_page(report), encoding="utf-8")
        click.echo(f"Wrote {html}", err=True)
    if not _written(report.to_json(), json_file):
        print_report(report, markdown=markdown)


def _written(text: str, json_file: str | None) -> bool:
    """Write JSON to the requested destination; return whether that is standard output."""
    if json_file == "-":
        click.echo(text, nl=False)
    elif json_file is not None:
        Path(json_file).write_text(text, encoding="utf-8")
        click.echo(f"Wrote {json_file}", err=True)
    return json_file == "-"


def _leave_out_models(json_file: str | None, data: Path | None) -> None:
    """Let each model join again with a few probes, and report its recovered value."""
    import json
    from dataclasses import asdict

    from collegium.cli.eval_newcomers import print_recoveries, recoveries
    from collegium.evals.core.data import data_root, data_sets

    asked = click.get_current_context().params
    given = [f"--{name.removesuffix('s').replace('_', '-')}" for name in NO_JOINING if asked[name]]
    if given:
        raise click.UsageError(f"--leave-out model judges joining models alone: no {given[0]}")
    two = asked["train"] or asked["test"]
    names = asked["datasets"]
    if not names and not two:
        names = [str(folder) for folder in data_sets(data_root(data))]
    found = recoveries(
        names,
        probes=PROBES,
        draws=DRAWS,
        data=data,
        train=asked["train"],
        test=asked["test"],
        encoder=asked["encoder"],
        seed=asked["seed"],
    )
    text = json.dumps([asdict(each) for each in found], indent=2) + "\n"
    if not _written(text, json_file):
        print_recoveries(found)


def refuse_swallowed_set(json_file: str | None, data: Path | None) -> None:
    """`--json routerdc7` takes the set for the file; say so instead of writing it."""
    from collegium.evals.core.data import holds_set
    from collegium.evals.routing.sources import shared_set

    if json_file is None or json_file == "-":
        return
    if holds_set(Path(json_file)) or shared_set(json_file, data):
        raise click.UsageError(f"'{json_file}' is a data set; put it before --json, or --json -")


def _evaluate(
    routers: Sequence[str],
    peers: Sequence[str],
    peer_limit: float,
    encoder: str,
    pool: str | None,
    seed: int,
    robustness: int,
    **asked: Any,
) -> RoutingReport:
    from collegium.evals.core.provenance import provenance
    from collegium.evals.peers.running import visiting
    from collegium.evals.routing import contenders
    from collegium.evals.routing.embeddings import CachedEncoder, EmbeddingCache
    from collegium.evals.routing.encoders import encoder as named_encoder
    from collegium.evals.routing.evaluate import mean_differences
    from collegium.evals.routing.robustness.report import mean_robustness
    from collegium.evals.routing.routing_report import RoutingReport
    from collegium.evals.routing.run import judge
    from collegium.evals.routing.sources import Request, problems
    from collegium.settings import load_settings

    eyes, cache_dir = named_encoder(encoder), load_settings().cache_dir
    cache = EmbeddingCache(cache_dir)
    judged = contenders.routers(CachedEncoder(eyes, cache, progress=False), routers)
    models = tuple(name.strip() for name in (pool or "").split(",") if name.strip())
    request = Request(pool=models, seed=seed, **asked)
    to_judge = problems(request)
    disturbed = robustness if contenders.SERVED in judged else 0
    for problem in to_judge:
        warn_dropped(problem.name, problem.dropped)
    with visiting(peers, cache_dir, seed=seed, limit_s=peer_limit) as visitors:
        found = judge(to_judge, judged, eyes, cache, peers=visitors, seed=seed, disturbed=disturbed)
    measured = [each.report.robustness for each in found if each.report.robustness is not None]
    return RoutingReport(
        encoder,
        request.leave_out,
        contenders.headline(judged),
        tuple(each.report for each in found),
        mean_differences(found),
        provenance(command_line(), seed, {"sets": len(found), "routers": len(judged)}),
        mean_robustness(measured),
    )


def print_rows(rows: list[list[str]], *, markdown: bool) -> None:
    """Print a table with its header and a line below; nothing if there are no rows."""
    from collegium.evals.routing import text

    if rows and markdown:
        click.echo(text.markdown(rows))
    elif rows:
        print_table(rows[0], rows[1:])
        click.echo()


def print_report(report: RoutingReport, *, markdown: bool) -> None:
    """Print every set's tables and remarks."""
    from collegium.evals.routing import text
    from collegium.evals.routing.robustness.text import disturbed_table, overall_table

    def show(rows: list[list[str]]) -> None:
        print_rows(rows, markdown=markdown)

    for found in report.sets:
        click.echo(f"## {text.heading(found)}\n")
        for rows in (text.table(found), text.differences(found), text.peer_differences(found)):
            show(rows)
        for rows in (text.group_table(found), text.robustness_table(found)):
            show(rows)
        show(disturbed_table(found.robustness))
        for line in (*text.remarks(found), *text.alarms(found)):
            click.echo(f"- {line}")
        click.echo()
    show(text.overview(report))
    show(overall_table(report))
    show(text.mean_table(report))
    show(text.peer_means(report))
    click.echo("Differences are points of accuracy with paired bootstrap 95 % intervals; *: not 0.")
