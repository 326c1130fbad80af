"""`collegium eval routing`: routers and baselines on recorded outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from collegium.cli.output import print_table, warn_dropped
from collegium.cli.recorded_sets import two_sets_options

if TYPE_CHECKING:
    from collegium.evals.routing.routing_report import RoutingReport

PROBES, DRAWS = (50,), 1
"""With --leave-out model: what a newcomer is asked, and how often that is drawn anew."""
NO_JOINING = ("routers", "peers", "train_size", "pool", "html", "markdown")
"""Options that say nothing of a model that joins."""


@click.command(epilog="Example: collegium eval routing routerdc7 --html routing.html")
@click.argument("datasets", metavar="DATASET…", nargs=-1)
@click.option("--router", "routers", multiple=True, help="Judge this router; may be repeated.")
@click.option("--peer", "peers", multiple=True, help="Judge another project's router, too.")
@click.option("--peer-limit", default=600.0, show_default=True, help="Seconds for a peer to learn.")
@two_sets_options
@click.option(
    "--leave-out",
    type=click.Choice(["task", "domain", "model"]),
    help="Judge each on what was left out of training.",
)
@click.option("--train-size", type=click.IntRange(10), help="Learn from so many prompts only.")
@click.option("--pool", help="Only these models, separated by commas.")
@click.option("--seed", default=0, help="Seed of the split and the bootstrap.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the shared data sets.")
@click.option("--encoder", default="minilm", show_default=True, help="minilm or static, +surface.")
@click.option("--markdown", is_flag=True, help="Print the tables as Markdown.")
@click.option(
    "--json", "json_file", is_flag=False, flag_value="-", help="Write JSON there; - prints it."
)
@click.option("--html", type=click.Path(path_type=Path), help="Write a page with plots.")
def routing(
    json_file: str | None, html: Path | None, markdown: bool, data: Path | None, **asked: Any
) -> None:
    """Judge routers on recorded outcomes, against baselines and the oracle.

    DATASET is a folder or the name of a shared set; without one, all shared sets. With
    --leave-out model each model joins again from 50 probes (`collegium eval newcomers`).
    """
    refuse_swallowed_set(json_file, data)
    if asked["leave_out"] == "model":
        return _leave_out_models(json_file, data)
    report = _evaluate(data=data, **asked)
    if html is not None:
        from collegium.evals.routing.page import html_page

        html.write_text(html_page(report), encoding="utf-8")
        click.echo(f"Wrote {html}", err=True)
    if json_file == "-":
        click.echo(report.to_json(), nl=False)
        return
    if json_file is not None:
        Path(json_file).write_text(report.to_json(), encoding="utf-8")
        click.echo(f"Wrote {json_file}", err=True)
    print_report(report, markdown=markdown)


def _leave_out_models(json_file: str | None, data: Path | None) -> None:
    """Let each model join again from few probes: how much of its routing value comes back."""
    import json
    from dataclasses import asdict

    from collegium.cli.eval_newcomers import print_recoveries, recoveries
    from collegium.evals.data import data_root, data_sets

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
    if json_file == "-":
        return click.echo(text, nl=False)
    if json_file is not None:
        Path(json_file).write_text(text, encoding="utf-8")
        click.echo(f"Wrote {json_file}", err=True)
    print_recoveries(found)


def refuse_swallowed_set(json_file: str | None, data: Path | None) -> None:
    """`--json routerdc7` takes the set for the file; say so instead of writing it."""
    from collegium.evals.data import holds_set
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
    **asked: Any,
) -> RoutingReport:
    from collegium.evals.peers.running import visiting
    from collegium.evals.provenance import provenance
    from collegium.evals.routing import contenders
    from collegium.evals.routing.embeddings import CachedEncoder, EmbeddingCache
    from collegium.evals.routing.encoders import encoder as named_encoder
    from collegium.evals.routing.evaluate import mean_differences
    from collegium.evals.routing.routing_report import RoutingReport
    from collegium.evals.routing.run import judge
    from collegium.evals.routing.sources import Request, problems
    from collegium.settings import load_settings

    eyes, cache_dir = named_encoder(encoder), load_settings().cache_dir
    cache = EmbeddingCache(cache_dir)
    judged = contenders.routers(CachedEncoder(eyes, cache), routers)
    models = tuple(name.strip() for name in (pool or "").split(",") if name.strip())
    request = Request(pool=models, seed=seed, **asked)
    to_judge = problems(request)
    for problem in to_judge:
        warn_dropped(problem.name, problem.dropped)
    with visiting(peers, cache_dir, seed=seed, limit_s=peer_limit) as visitors:
        found = judge(to_judge, judged, eyes, cache, peers=visitors, seed=seed)
    command = " ".join(("collegium eval routing", *_arguments(click.get_current_context())))
    return RoutingReport(
        encoder,
        request.leave_out,
        contenders.headline(judged),
        tuple(each.report for each in found),
        mean_differences(found),
        provenance(command, seed, {"sets": len(found), "routers": len(judged)}),
    )


def _arguments(context: click.Context) -> list[str]:
    """Write the command's arguments again, so that a report says how it was made."""
    import shlex

    words: list[str] = list(context.params.get("datasets", ()))
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        if not isinstance(parameter, click.Option) or value in (None, (), False):
            continue
        if value == parameter.default and parameter.name != "seed":
            continue
        for each in value if isinstance(value, tuple) else (value,):
            words += [parameter.opts[0]] if each is True else [parameter.opts[0], str(each)]
    return [shlex.quote(word) for word in words]


def print_report(report: RoutingReport, *, markdown: bool) -> None:
    """Print every set's tables and what is to be said of them."""
    from collegium.evals.routing import text

    def show(rows: list[list[str]]) -> None:
        if rows and markdown:
            click.echo(text.markdown(rows))
        elif rows:
            print_table(rows[0], rows[1:])
            click.echo()

    for found in report.sets:
        click.echo(f"## {text.heading(found)}\n")
        for rows in (text.table(found), text.differences(found), text.peer_differences(found)):
            show(rows)
        for rows in (text.group_table(found), text.robustness_table(found)):
            show(rows)
        for line in (*text.remarks(found), *text.alarms(found)):
            click.echo(f"- {line}")
        click.echo()
    show(text.overview(report))
    show(text.mean_table(report))
    show(text.peer_means(report))
    click.echo("Differences are points of accuracy with paired bootstrap 95 % intervals; *: not 0.")
