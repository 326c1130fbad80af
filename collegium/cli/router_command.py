"""`collegium router …`: train the router on the pool's outcomes, and explain its decisions."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from collegium.cli.output import json_option, print_json, print_table
from collegium.cli.router_calibrate import calibrate

if TYPE_CHECKING:
    from collegium.cli.outcomes import Collected

BACKGROUND_SETS = {"clinc150": 300, "llmrouter9": 250, "routellm2": 200, "mmlupro28": 150}
"""Shared sets, and how many of their prompts stand for all that no specialist was taught."""
FAMILIAR = 200
"""Questions a task that show which queries are familiar; this needs no answers."""


@click.group(epilog='Example: collegium router explain "Write 4 July 1998 as YYYY-MM-DD."')
def command() -> None:
    """Train, calibrate and explain the router."""


command.add_command(calibrate)


@command.command(epilog="Example: collegium router train --out ./my-router")
@click.option("--per-task", type=click.IntRange(5, 2000), default=60, help="Questions a task.")
@click.option("--seed", default=0, help="Which questions and background prompts.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the shared data sets.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
@json_option
def train(per_task: int, seed: int, data: Path | None, out: Path, as_json: bool) -> None:
    """Ask every expert validation questions of the training phrasings, and fit the router.

    Needs the service; starts one where none runs. Set `router_dir` to serve with the result.
    """
    from collegium.router.artifact import save

    fitted = asyncio.run(_train(per_task, seed, data))
    save(fitted, out)
    if as_json:
        return print_json({"out": str(out), **fitted.card})
    left_out = fitted.card["left_out_phrasings"]
    click.echo(
        f"Wrote {out}: {fitted.card['prompts']} prompts, {len(fitted.fingerprints)} experts; on "
        f"phrasings left out of the fit: Brier {left_out['brier']}, ECE {left_out['ece']}."
    )


async def _train(per_task: int, seed: int, data: Path | None) -> Any:
    from collegium.cli.asking import endpoint
    from collegium.cli.local_service import some_service
    from collegium.cli.outcomes import collect_outcomes
    from collegium.evals.data import data_root
    from collegium.router.encoder import make_encoder
    from collegium.router.training import fit_router
    from collegium.settings import load_settings

    settings, root = load_settings(), data_root(data)
    background = _background(root, seed)
    async with some_service(settings) as url, endpoint(settings, url) as service:
        found = await collect_outcomes(settings, service, "validation", per_task, seed)
    found.outcomes.require_complete()
    click.echo("Fitting the router", err=True)
    return fit_router(_measured(found, seed), background, make_encoder(settings.encoder))


def _background(root: Path, seed: int) -> list[str]:
    """Prompts of real users and benchmarks, none of which a specialist was taught."""
    import gzip
    import json
    from random import Random

    from collegium.errors import SetupError

    prompts: list[str] = []
    for name, count in BACKGROUND_SETS.items():
        file, field = ("data", "text") if name == "clinc150" else ("prompts", "prompt")
        path = root / name / f"{file}.jsonl.gz"
        if not path.is_file():
            raise SetupError(f"the background set {path} is missing; name its folder with --data")
        with gzip.open(path, "rt") as lines:
            texts = [json.loads(line)[field] for line in lines]
        prompts += Random(seed).sample(texts, min(count, len(texts)))
    return prompts


def _measured(found: Collected, seed: int) -> Any:
    """The outcomes, and below them questions that nobody was asked: they show what is familiar."""
    import numpy as np

    from collegium.experts.specialists import TASKS
    from collegium.router.training import Measured

    outcomes = found.outcomes
    asked = {e.prompt_id for e in outcomes.prompts}
    drawn = [e for t in TASKS.values() for e in t.examples("validation", FAMILIAR, seed)]
    examples = [*outcomes.prompts, *(e for e in drawn if e.prompt_id not in asked)]
    unknown = np.full((len(examples) - len(asked), len(outcomes.experts)), np.nan)
    return Measured(
        prompts=[e.prompt for e in examples],
        skills=[e.task for e in examples],
        groups=[e.template for e in examples],
        fingerprints=found.fingerprints,
        scores=np.vstack([outcomes.scores, unknown]),
        tokens=np.vstack([outcomes.completion_tokens, unknown]),
        latency_s=np.vstack([outcomes.latency_s, unknown]),
    )


@command.command(epilog='Example: collegium router explain "Convert 3 km to metres."')
@click.argument("prompt")
@click.option("--model", default="auto", help="A virtual model or an expert.")
@json_option
def explain(prompt: str, model: str, as_json: bool) -> None:
    """Say in words and numbers who would answer a query and why (needs the running service)."""
    decision = asyncio.run(_explain(prompt, model))
    if as_json:
        return print_json(decision)
    click.echo(decision["reason"])
    click.echo(f"Out-of-distribution score {decision['ood_score']:.2f} (above 0.5: unfamiliar)\n")
    header = ("EXPERT", "P(CORRECT)", "COST", "LATENCY", "ENERGY", "NOTE")
    print_table(header, [_row(f) for f in decision["forecasts"]])


def _row(forecast: dict[str, Any]) -> tuple[str, ...]:
    quality, energy = forecast["quality"], forecast["energy_j"]
    return (
        forecast["expert"],
        "unknown" if quality is None else f"{quality:.1%}",
        f"${forecast['cost_usd']:.6f}",
        f"{forecast['latency_ms']:.0f} ms",
        "unknown" if energy is None else f"{energy:.1f} J",
        forecast["note"],
    )


async def _explain(prompt: str, model: str) -> dict[str, Any]:
    from collegium.cli.service_client import required_service
    from collegium.settings import load_settings

    body = {"model": model, "messages": [{"role": "user", "content": prompt}]}
    async with required_service(load_settings()) as service:
        decision: dict[str, Any] = await service.call("POST", "/v1/route", body)
        return decision
