"""`collegium eval online`: the bandit on recorded outcomes that drift, and under false ratings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from collegium.cli.output import json_option, print_json, print_table
from collegium.cli.recorded_sets import recorded_options, recorded_sets

if TYPE_CHECKING:
    from collegium.evals.online_report import OnlineReport
    from collegium.evals.recorded import Recorded


@click.command(epilog="Example: collegium eval online llmrouter9 --html online.html")
@click.argument("datasets", metavar="DATASET…", nargs=-1, required=True)
@click.option("--steps", type=click.IntRange(30), default=6000, help="Queries in a simulation.")
@click.option("--repeats", type=click.IntRange(1), default=3, help="Simulations, averaged.")
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
    """Let the bandit route a stream of recorded outcomes in which an expert changes.

    The expert asked most degrades, recovers, then gets dearer. Regret is what a router that is
    told of it would have got more; the same command gives the same numbers.
    """
    from collegium.evals.online_report import html_page, tables, verdict
    from collegium.evals.provenance import provenance

    seed = recorded["seed"]
    sets = recorded_sets(datasets, **recorded)
    reports = [_simulated(data, steps, repeats, seed) for data in sets]
    command = f"collegium eval online {' '.join(datasets)} --steps {steps} --repeats {repeats}"
    made = provenance(f"{command} --seed {seed}", seed, {"sets": len(reports)})
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

    from collegium.evals.online import simulate
    from collegium.evals.online_report import summed_up
    from collegium.evals.online_world import world
    from collegium.evals.poison import LIES, poison
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
