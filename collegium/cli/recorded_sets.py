"""Recorded sets by name, with their vectors and honest forecasts, for the eval commands."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collegium.evals.recorded import Recorded


def recorded_options(function: Any) -> Any:
    """Add the options that say what is recorded and who forecasts it."""
    options = [
        click.option("--data", type=click.Path(path_type=Path), help="Folder of the shared sets."),
        click.option("--encoder", default="minilm", help="Who turns prompts into vectors."),
        click.option(
            "--router", default="linear", help="Predictor that forecasts each model by itself."
        ),
        click.option("--seed", default=0, help="Seed of the split and of all that is drawn."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def recorded_sets(
    datasets: Sequence[str], *, data: Path | None, encoder: str, router: str, seed: int
) -> list[Recorded]:
    """Read, encode (cached on disk) and forecast each set; a SetupError says what is missing."""
    from collegium.evals.recorded import record
    from collegium.evals.routing.embeddings import EmbeddingCache
    from collegium.evals.routing.encoders import encoder as named_encoder
    from collegium.evals.routing.problem import read_problem
    from collegium.evals.routing.sources import set_folder
    from collegium.router.predictors import predictor
    from collegium.settings import load_settings

    predictor(router)  # an unknown name fails before minutes of encoding
    problems = [read_problem(set_folder(name, data), seed=seed) for name in datasets]
    cache = EmbeddingCache(load_settings().cache_dir)
    vectors = [cache.encode(named_encoder(encoder), problem.prompts) for problem in problems]
    return [
        record(problem, X, partial(predictor, router), seed=seed)
        for problem, X in zip(problems, vectors, strict=True)
    ]
