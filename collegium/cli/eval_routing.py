"""`collegium eval routing`: routers and baselines on recorded outcomes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from collegium.cli.output import print_table

if TYPE_CHECKING:
    from collegium.evals.routing.problem import Problem
    from collegium.evals.routing.routing_report import RoutingReport

EXISTING_FOLDER = click.Path(path_type=Path)


@click.command(epilog="Example: collegium eval routing routerdc7 --html routing.html")
@click.argument("datasets", metavar="DATASET…", nargs=-1)
@click.option("--router", "routers", multiple=True, help="Judge this router; may be repeated.")
@click.option("--train", type=EXISTING_FOLDER, help="Learn from all of this folder …")
@click.option("--test", type=EXISTING_FOLDER, help="… and judge on all of this one.")
@click.option(
    "--leave-out",
    type=click.Choice(["task", "domain", "model"]),
    help="Judge each on what was left out of training.",
)
@click.option("--train-size", type=click.IntRange(10), help="Learn from so many prompts only.")
@click.option("--pool", help="Only these models, separated by commas.")
@click.option("--seed", default=0, help="Seed of the split and the bootstrap.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the shared data sets.")
@click.option("--encoder", default="minilm", help="Who turns prompts into vectors.")
@click.option("--markdown", is_flag=True, help="Print the tables as Markdown.")
@click.option(
    "--json", "json_file", is_flag=False, flag_value="-", help="Write JSON there; - prints it."
)
@click.option("--html", type=click.Path(path_type=Path), help="Write a page with plots.")
def routing(
    datasets: tuple[str, ...], json_file: str | None, html: Path | None, markdown: bool, **kw: Any
) -> None:
    """Judge routers on recorded outcomes, against baselines and the oracle.

    DATASET is a folder or the name of a shared set; without one, all shared sets.
    """
    _refuse_swallowed_set(json_file, kw["data"])
    report = _evaluate(datasets, **kw)
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
    _print(report, markdown=markdown)


def _refuse_swallowed_set(json_file: str | None, data: Path | None) -> None:
    """`--json routerdc7` takes the set for the file; say so instead of writing it."""
    from collegium.evals.data import PROMPTS

    if json_file in (None, "-"):
        return
    if (Path(str(json_file)) / PROMPTS).is_file() or _shared(str(json_file), data):
        raise click.UsageError(f"'{json_file}' is a data set; put it before --json, or --json -")


def _shared(name: str, data: Path | None) -> Path | None:
    """Return the folder of a shared set of this name, if there is one."""
    from collegium.errors import SetupError
    from collegium.evals.data import PROMPTS, data_root

    try:
        folder = data_root(data) / name
    except SetupError:
        return None
    return folder if (folder / PROMPTS).is_file() else None


def _evaluate(
    datasets: Sequence[str],
    routers: Sequence[str],
    encoder: str,
    seed: int,
    train: Path | None,
    test: Path | None,
    leave_out: str | None,
    train_size: int | None,
    pool: str | None,
    data: Path | None,
) -> RoutingReport:
    from tqdm import tqdm

    from collegium.evals.provenance import provenance
    from collegium.evals.routing.contenders import headline
    from collegium.evals.routing.contenders import routers as named_routers
    from collegium.evals.routing.embeddings import EmbeddingCache
    from collegium.evals.routing.encoders import encoder as named_encoder
    from collegium.evals.routing.evaluate import evaluate, mean_differences
    from collegium.evals.routing.exam_results import contender_count
    from collegium.evals.routing.problem import taught_by_fewer
    from collegium.evals.routing.routing_report import RoutingReport
    from collegium.settings import load_settings

    contenders = named_routers(routers)
    models = tuple(name.strip() for name in (pool or "").split(",") if name.strip())
    problems = list(_problems(datasets, train, test, data, models, leave_out, seed))
    if train_size is not None:
        problems = [taught_by_fewer(problem, train_size, seed=seed) for problem in problems]
    cache, found = EmbeddingCache(load_settings().cache_dir), []
    vectors = [cache.encode(named_encoder(encoder), p.prompts) for p in problems]
    with tqdm(total=len(problems) * contender_count(contenders), unit="router") as bar:
        for problem, X in zip(problems, vectors, strict=True):
            bar.set_description(problem.name)

            def tick(name: str) -> None:
                bar.set_postfix_str(name)
                bar.update()

            found.append(evaluate(problem, X, contenders, seed=seed, tick=tick))
    counts = {"sets": len(found), "routers": len(contenders)}
    command = " ".join(("collegium eval routing", *_arguments(click.get_current_context())))
    return RoutingReport(
        encoder,
        leave_out,
        headline(contenders),
        tuple(each.report for each in found),
        mean_differences(found),
        provenance(command, seed, counts),
    )


def _problems(
    datasets: Sequence[str],
    train: Path | None,
    test: Path | None,
    data: Path | None,
    pool: Sequence[str],
    left_out: str | None,
    seed: int,
) -> Iterator[Problem]:
    """Read what the command names, and refuse what does not go together."""
    from collegium.errors import SetupError
    from collegium.evals.data import data_root, data_sets
    from collegium.evals.routing.problem import read_problem, read_two

    if left_out == "model":
        raise SetupError("--leave-out model needs newcomers, which this version can't judge yet")
    if (train is None) != (test is None):
        raise SetupError("--train and --test belong together: name both folders")
    if train is not None and test is not None:
        if datasets:
            raise SetupError("name data sets or --train and --test, not both")
        yield read_two(train, test, pool=pool, left_out=left_out, seed=seed)
        return
    if not datasets:
        datasets = [str(folder) for folder in data_sets(data_root(data))]
    for name in datasets:
        folder = Path(name) if Path(name).is_dir() else _shared(name, data)
        if folder is None:
            raise SetupError(
                f"there is no data set '{name}': no folder of that name, and no set of "
                "--data, COLLEGIUM_DATA or ../shared/data"
            )
        yield read_problem(folder, pool=pool, left_out=left_out, seed=seed)


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


def _print(report: RoutingReport, *, markdown: bool) -> None:
    from collegium.evals.routing import text

    def show(rows: list[list[str]]) -> None:
        if rows and markdown:
            click.echo(text.markdown(rows))
        elif rows:
            print_table(rows[0], rows[1:])
            click.echo()

    for found in report.sets:
        click.echo(f"## {text.heading(found)}\n")
        for rows in (text.table(found), text.differences(found), text.group_table(found)):
            show(rows)
        show(text.robustness_table(found))
        for line in (*text.remarks(found), *text.alarms(found)):
            click.echo(f"- {line}")
        click.echo()
    show(text.overview(report))
    show(text.mean_table(report))
    click.echo("Differences are points of accuracy with paired bootstrap 95 % intervals; *: not 0.")
