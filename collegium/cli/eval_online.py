"""`collegium eval online`: the bandit on recorded outcomes that drift, and with false ratings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from collegium.cli.output import command_line, json_option, print_json, print_table
from collegium.cli.recorded_sets import recorded_options, recorded_sets

if TYPE_CHECKING:
    from collegium.evals.routing.recorded import Recorded
    from collegium.evals.studies.online.report import OnlineReport


@click.command(epilog="Example: collegium eval online llmrouter9 --html online.html")
@click.argument("datasets", metavar="DATASET…", nargs=-1, required=True)
@click.option("--steps", type=click.IntRange(30), default=6000, help="Queries per simulation.")
@click.option("--repeats", type=click.IntRange(1), default=3, help="Simulations to average.")
@click.option("--html", type=click.Path(path_type=Path), help="Write a page with plots.")
@recorded_options
@json_option
def online(
    datasets: tuple[str, ...],
    steps: int,
    repeats: int,
    html: Path | None,
    as_json: bool,
    **recorded: Any,
) -> None:
    """Run the bandit on a stream of recorded outcomes in which an expert changes.

    The most used expert degrades, recovers, then gets more expensive. Regret is measured against a
    router that knows of each change. The result is deterministic.
    """
    from collegium.evals.core.provenance import provenance
    from collegium.evals.studies.online.report import html_page, tables, verdict

    seed = recorded["seed"]
    sets = recorded_sets(datasets, **recorded)
    reports = [_simulated(data, steps, repeats, seed) for data in sets]
    made = provenance(command_line(), seed, {"sets": len(reports)})
    if html is not None:
        html.write_text(html_page(reports, made), encoding="utf-8")
        click.echo(f"Wrote {html}", err=True)
    if as_json:
        return print_json({"sets": [report.to_dict() for report in reports]})
    for report in reports:
        click.echo(f"## {report.data}\n\n{verdict(report)}\n")
        for title, (head, *rows) in tables(report).items():
            click.echo(title)
            print_table([word.upper() for word in head], rows)
            click.echo()


def _simulated(data: Recorded, steps: int, repeats: int, seed: int) -> OnlineReport:
    from tqdm import tqdm

    from collegium.evals.studies.online.poison import LIES, poison
    from collegium.evals.studies.online.report import summed_up
    from collegium.evals.studies.online.study import simulate
    from collegium.evals.studies.online.world import world
    from collegium.router.online.bandit import BanditSettings

    settings = BanditSettings()
    total = steps * (2 * repeats + 2 * (len(LIES) + 1))
    with tqdm(total=total, desc=data.name, unit="query", mininterval=1.0) as bar:

        def progress(several: Any) -> Any:
            for each in several:
                yield each
                bar.update()

        worlds = [world(data, steps=steps, seed=seed + i) for i in range(repeats)]
        simulations = [
            simulate(each, settings, seed=seed + i, progress=progress)
            for i, each in enumerate(worlds)
        ]
        movements = poison(worlds[0], settings, seed=seed, progress=progress)
    return summed_up(worlds[0], simulations, movements)
