"""`collegium eval newcomers`: the value of a few dozen probes for a model that joins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from collegium.cli.output import json_option, print_json, print_table, warn_dropped
from collegium.cli.recorded_sets import two_sets_options

if TYPE_CHECKING:
    from collegium.evals.studies.newcomers.recovery import Recovery

HEAD = ("SET", "POOLS", "METHOD", "PROBES", "MODELS", "RECOVERED", "95 %", "GAIN", "HARM")


@click.command(epilog="Example: collegium eval newcomers mmlupro28 routerdc7 --probes 50")
@click.argument("datasets", metavar="[DATASET]…", nargs=-1)
@click.option(
    "--probes",
    type=click.IntRange(5),
    multiple=True,
    default=(50,),
    help="Marked answers of the newcomer; repeatable.",
)
@click.option("--draws", type=click.IntRange(1), default=1, help="Draws of probes to average.")
@two_sets_options
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the data sets.")
@click.option("--encoder", default="minilm+surface", help="Encoder of prompts.")
@click.option("--seed", default=0, help="Seed of split and draws.")
@json_option
def newcomers(datasets: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Remove each model, add it again with few marks, and compare with all its marks.

    Routers are fitted as `collegium router train` fits them and choose as the service does.
    RECOVERED is the share of the model's routing value that is recovered, as a median over the
    models that have one; GAIN is the gain in points of accuracy, out of the gain with all data.
    DATASET is a folder, or the name of a set in the data folder.
    """
    if not datasets and not (options["train"] or options["test"]):
        raise click.UsageError("name data sets, or --train and --test")
    found = recoveries(datasets, **options)
    if as_json:
        return print_json([asdict(each) for each in found])
    print_recoveries(found)


def recoveries(
    datasets: Sequence[str],
    *,
    probes: Sequence[int],
    draws: int,
    data: Path | None,
    train: str | None,
    test: str | None,
    encoder: str,
    seed: int,
) -> list[Recovery]:
    """Return each set's rows, then those over all sets."""
    from threadpoolctl import threadpool_limits

    from collegium.errors import SetupError
    from collegium.evals.routing.embeddings import CachedEncoder, EmbeddingCache
    from collegium.evals.routing.encoders import encoder as named_encoder
    from collegium.evals.routing.run import encoded
    from collegium.evals.routing.sources import Request, problems
    from collegium.evals.studies.newcomers.recovery import over_sets
    from collegium.evals.studies.newcomers.study import recover
    from collegium.settings import load_settings

    eyes, cache = named_encoder(encoder), EmbeddingCache(load_settings().cache_dir)
    tables = []
    for problem in problems(Request(tuple(datasets), train, test, seed=seed, data=data)):
        warn_dropped(problem.name, problem.dropped)
        if len(problem.models) < 2:
            raise SetupError(f"'{problem.name}' has one model, and none that it could join")
        X, progress = encoded(problem, eyes, cache), partial(_told, name=problem.name)
        with threadpool_limits(1):  # threads of small products wait longer than they compute
            joined = recover(
                problem,
                X,
                CachedEncoder(eyes, cache),
                probes=probes,
                draws=draws,
                seed=seed,
                progress=progress,
            )
        tables.append(joined)
    return [each.recovery() for table in tables for each in table] + over_sets(tables)


def _told(models: Iterable[int], name: str) -> Iterable[int]:
    """The models, with a bar."""
    from collegium.evals.core.progress import progress_bar

    models = list(models)
    with progress_bar(len(models), f"Leaving models of {name} out") as bar:
        for model in models:
            yield model
            bar.update(1)


def print_recoveries(found: Sequence[Recovery]) -> None:
    """Print the results."""
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
