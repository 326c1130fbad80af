"""`collegium eval newcomers`: what a few dozen probes are worth for a model that joins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from collegium.cli.output import json_option, print_json, print_table
from collegium.cli.recorded_sets import recorded_options, recorded_sets, two_sets_options

if TYPE_CHECKING:
    from collegium.evals.newcomers import Recovery

HEAD = ("SET", "POOLS", "METHOD", "PROBES", "MODELS", "RECOVERED", "95 %", "GAIN", "HARM")


@click.command(epilog="Example: collegium eval newcomers mmlupro28 routerdc7 --probes 50")
@click.argument("datasets", metavar="[DATASET]…", nargs=-1)
@click.option(
    "--probes",
    type=click.IntRange(5),
    multiple=True,
    default=(20, 50, 100),
    help="Marked answers of the newcomer; may be repeated.",
)
@click.option("--draws", type=click.IntRange(1), default=3, help="Choices of probes, averaged.")
@two_sets_options
@recorded_options
@json_option
def newcomers(
    datasets: tuple[str, ...], probes: tuple[int, ...], draws: int, as_json: bool, **recorded: Any
) -> None:
    """Leave each model out, let it join from few probes, and compare with all its data.

    RECOVERED is the share of its routing value that comes back, median over the models that have
    one; GAIN is what joining brings in points of accuracy, of what all data bring. DATASET is a
    folder or the name of a shared set.
    """
    if not datasets and not (recorded["train"] or recorded["test"]):
        raise click.UsageError("name data sets, or --train and --test")
    found = recoveries(datasets, probes=probes, draws=draws, **recorded)
    if as_json:
        return print_json([asdict(each) for each in found])
    print_recoveries(found)


def recoveries(
    datasets: Sequence[str], *, probes: Sequence[int], draws: int, seed: int, **recorded: Any
) -> list[Recovery]:
    """Each set's rows, then those over all sets."""
    from collegium.evals.newcomers import over_sets, recover
    from collegium.evals.progress import progress_bar

    tables = []
    for data in recorded_sets(datasets, seed=seed, **recorded):

        def progress(models: Iterable[int], name: str = data.name) -> Iterable[int]:
            models = list(models)
            with progress_bar(len(models), f"Leaving models of {name} out") as bar:
                for model in models:
                    yield model
                    bar.update(1)

        tables.append(recover(data, probes=probes, draws=draws, seed=seed, progress=progress))
    return [each.recovery() for table in tables for each in table] + over_sets(tables)


def print_recoveries(found: Sequence[Recovery]) -> None:
    """Print what came back."""
    print_table(HEAD, [_row(each) for each in found])


def _row(found: Recovery) -> tuple[str, ...]:
    undefined = found.median is None or found.low is None or found.high is None
    return (
        found.data,
        found.pools,
        found.method,
        str(found.probes),
        f"{found.counted}/{found.models}",
        "-" if undefined else f"{found.median:.0%}",
        "-" if undefined else f"[{found.low:.0%}, {found.high:.0%}]",
        f"{100 * found.value:.2f} of {100 * found.full_value:.2f}",
        f"{100 * found.harm:.2f}",
    )
