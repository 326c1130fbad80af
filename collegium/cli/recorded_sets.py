"""Load recorded sets by name, with vectors and out-of-fold forecasts, for the eval commands."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from collegium.cli.output import warn_dropped

if TYPE_CHECKING:
    from collegium.evals.routing.recorded import Recorded


def recorded_options(function: Any) -> Any:
    """Add the options that say what is recorded and who forecasts it."""
    options = [
        click.option("--data", type=click.Path(path_type=Path), help="Folder of the data sets."),
        click.option("--encoder", default="minilm", help="Encoder of prompts."),
        click.option("--router", default="linear", help="Predictor to forecast with."),
        click.option("--seed", default=0, help="Seed of split and draws."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def two_sets_options(function: Any) -> Any:
    """Add `--train` and `--test`, which name sets as arguments do."""
    options = [
        click.option("--train", metavar="DATASET", help="Learn from all of this set."),
        click.option("--test", metavar="DATASET", help="Evaluate on all of this set."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def recorded_sets(
    datasets: Sequence[str],
    *,
    data: Path | None,
    encoder: str,
    router: str,
    seed: int,
) -> list[Recorded]:
    """Read, encode (cached on disk) and forecast each set; a SetupError says what is missing."""
    from collegium.evals.routing.embeddings import EmbeddingCache
    from collegium.evals.routing.encoders import encoder as named_encoder
    from collegium.evals.routing.recorded import record
    from collegium.evals.routing.run import encoded
    from collegium.evals.routing.sources import Request, problems
    from collegium.router.predictors import predictor
    from collegium.settings import load_settings

    predictor(router)  # an unknown name fails before minutes of encoding
    found = problems(Request(tuple(datasets), None, None, seed=seed, data=data))
    for problem in found:
        warn_dropped(problem.name, problem.dropped)
    cache = EmbeddingCache(load_settings().cache_dir)
    vectors = [encoded(problem, named_encoder(encoder), cache) for problem in found]
    return [
        record(problem, X, partial(predictor, router), seed=seed)
        for problem, X in zip(found, vectors, strict=True)
    ]
