"""`collegium router train`: fit a router to outcomes or rated decisions."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from collegium.cli.model_names import map_option, model_names, warn_unmatched
from collegium.cli.output import json_option, print_json, warn

if TYPE_CHECKING:
    from collegium.cli.outcomes import Collected
    from collegium.router.artifact import FittedRouter
    from collegium.router.training import Measured
    from collegium.router.vectors import Encoder
    from collegium.settings import Settings

PER_TASK = 60
FAMILIAR = 200
"""Questions a task that show what queries there are; this needs no answers."""


@click.command(epilog="Example: collegium router train --out ./my-router")
@click.argument("datasets", metavar="[DATASET]…", nargs=-1)
@click.option("--recorded", is_flag=True, help="Learn from rated decisions in the registry.")
@click.option("--all", "whole", is_flag=True, help="Also learn from the test parts of the sets.")
@click.option("--per-task", type=click.IntRange(5, 2000), help="Questions per task [default: 60].")
@click.option(
    "--predictor",
    help="Use only this predictor [default: the setting `predictor`].",
)
@click.option("--seed", default=0, help="Seed of the split.")
@map_option
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the data sets.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Output folder.")
@json_option
def train(
    datasets: tuple[str, ...], recorded: bool, out: Path, as_json: bool, **options: Any
) -> None:
    """Fit the router. Set `router_dir` to serve with the result.

    By default, every expert of the pool answers validation questions in the training phrasings
    (using the running service, or starting one). With a DATASET (a folder, or the name of a set in
    the data folder), the router learns from recorded outcomes of models. A model's outcomes belong
    to the expert that has its name or serves it, unless --map says otherwise. With --recorded it
    learns from rated decisions.
    """
    from collegium.router.artifact import save
    from collegium.router.predictors.saving import require_saveable
    from collegium.settings import load_settings

    options["predictor"] = options["predictor"] or load_settings().predictor
    if options["predictor"]:
        require_saveable(options["predictor"])
    if not datasets and (options["whole"] or options["mapped"]):
        raise click.UsageError("--all and --map are for data sets: name one")
    per_task = options.pop("per_task")
    if per_task and (datasets or recorded):
        raise click.UsageError("--per-task is for the pool: leave it out with sets or --recorded")
    unmatched: list[str] = []
    if datasets or recorded:
        fitted, unmatched = _on_records(datasets, recorded=recorded, **options)
    else:
        chosen = options["seed"], options["predictor"]
        fitted = asyncio.run(_on_pool(per_task or PER_TASK, *chosen))
    save(fitted, out)
    if options["predictor"] and not fitted.beliefs.bases_:
        warn("there are too few marked prompts for a predictor of the text: it is not used.")
    if as_json:
        return print_json({"out": str(out), **fitted.card, "unmatched": unmatched})
    left_out = fitted.card["left_out_phrasings"]
    click.echo(
        f"Wrote {out}: {fitted.card['prompts']} prompts, {len(fitted.fingerprints)} experts; on "
        f"phrasings left out of the fit: Brier {left_out['brier']}, ECE {left_out['ece']}."
    )


def _on_records(
    datasets: tuple[str, ...],
    *,
    recorded: bool,
    whole: bool,
    seed: int,
    mapped: tuple[str, ...],
    data: Path | None,
    predictor: str | None,
) -> tuple[Any, list[str]]:
    """Fit on sets, rated decisions or both; also return the models that are no expert's."""
    from collegium.evals.formats import load_any
    from collegium.evals.routing.encoders import encoder as encoder_of
    from collegium.evals.routing.sources import set_folder
    from collegium.evals.training.learning import joined, recorded_set
    from collegium.settings import load_settings

    settings = load_settings()
    names = model_names(settings, mapped)
    folders = [set_folder(name, data) for name in datasets]
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise click.UsageError("a data set is named twice: its prompts would be learnt twice")
    models = list(dict.fromkeys(m for folder in folders for m in load_any(folder).models))
    names.check_given(models)
    unmatched = warn_unmatched(names, models)
    parts = [recorded_set(folder, seed=seed, whole=whole, names=names) for folder in folders]
    if recorded:
        parts.append(asyncio.run(_rated(settings)))
    measured = joined(parts)
    encoder = _cached(encoder_of(f"{settings.encoder}+surface"), settings)
    encoder.encode(measured.prompts)  # the long part, with its bar
    return _fit(measured, encoder, predictor), unmatched


def _fit(measured: Measured, encoder: Encoder, predictor: str | None) -> FittedRouter:
    """Fit, with a bar; its threads would wait busily for each other beside a service."""
    from threadpoolctl import threadpool_limits

    from collegium.router.training import fit_router

    label = f"Fitting the router to {len(measured.prompts)} prompts"
    with (
        click.progressbar(length=100, label=label, file=sys.stderr) as bar,
        threadpool_limits(1),
    ):
        done = 0

        def progress(share: float) -> None:
            nonlocal done
            bar.update(round(100 * share) - done)
            done = round(100 * share)

        return fit_router(measured, encoder, quality=predictor, progress=progress)


def _cached(encoder: Encoder, settings: Settings) -> Encoder:
    from collegium.evals.routing.embeddings import CachedEncoder, EmbeddingCache

    return CachedEncoder(encoder, EmbeddingCache(settings.cache_dir))


async def _rated(settings: Settings) -> Measured:
    """The rated decisions; what each query asks for is read by the router that is served."""
    from collegium.cli.service_client import open_database
    from collegium.evals.routing.encoders import fitted_on
    from collegium.evals.training.learning import rated, rated_decisions
    from collegium.registry.decisions.log import DecisionLog
    from collegium.registry.experts import ExpertRegistry
    from collegium.router.artifact import folder_of, load
    from collegium.router.forecasting import fingerprint

    async with open_database() as database:
        rows = rated(await DecisionLog(database).outcomes(limit=100_000))
        experts = await ExpertRegistry(database).list()
    served = load(folder_of(settings))
    encoder = _cached(fitted_on(served.encoder), settings)
    X = encoder.encode([str(entry.decision.prompt) for entry in rows])
    skills = [str(skill) for skill in served.skills.predict(X)]
    return rated_decisions(rows, skills, {e.name: fingerprint(e) for e in experts})


async def _on_pool(per_task: int, seed: int, predictor: str | None) -> Any:
    from collegium.cli.local_service import endpoint, some_service
    from collegium.cli.outcomes import collect_outcomes
    from collegium.router.encoder import make_encoder
    from collegium.settings import load_settings

    settings = load_settings()
    async with some_service() as url, endpoint(settings, url) as service:
        found = await collect_outcomes(settings, service, "validation", per_task, seed)
    found.outcomes.require_complete()
    encoder = make_encoder(settings.encoder)
    return _fit(_measured(found, seed), encoder, predictor)


def _measured(found: Collected, seed: int) -> Any:
    """Return the outcomes, followed by questions without answers, which are evidence, too."""
    import numpy as np

    from collegium.evals.tasks import TASKS
    from collegium.router.training import Measured

    outcomes = found.outcomes
    asked = set(outcomes.prompt_ids)
    drawn = [e for t in TASKS.values() for e in t.examples("validation", FAMILIAR, seed)]
    examples = [*found.examples, *(e for e in drawn if e.prompt_id not in asked)]
    unknown = np.full((len(examples) - len(asked), len(outcomes.models)), np.nan)
    return Measured(
        prompts=[e.prompt for e in examples],
        skills=[e.task for e in examples],
        groups=[e.template for e in examples],
        fingerprints=found.fingerprints,
        scores=np.vstack([outcomes.scores, unknown]),
        tokens=np.vstack([outcomes.extras["out_tokens"], unknown]),
        latency_s=np.vstack([outcomes.extras["latency_s"], unknown]),
    )
