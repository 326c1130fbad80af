"""Outcomes of the live pool on one split of its tasks, kept so that an interrupted run goes on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import httpx

from collegium.cli.service_client import open_registry
from collegium.errors import SetupError
from collegium.evals.cells import fingerprint as cell_fingerprint
from collegium.evals.collect import collect
from collegium.evals.endpoint import Endpoint
from collegium.evals.outcomes import Outcomes
from collegium.experts.roster import adapter_folder
from collegium.experts.specialists import TASKS
from collegium.experts.specialists.tasks.base import Split
from collegium.router.forecasting import fingerprint
from collegium.settings import Settings

CONCURRENCY = 16  # half of what the engine runs at once: it should not queue
PANEL_CONCURRENCY = 5  # of three members each
PANELS = "panels-1"
"""Changes when panels answer otherwise than before: what was kept is then asked again."""


@dataclass(frozen=True)
class Collected:
    """The outcomes, who the generalist is, and what each expert's outcomes belong to."""

    outcomes: Outcomes
    generalist: str
    fingerprints: tuple[str, ...]
    stamps: tuple[str, ...]
    """What the cells of each expert are kept under."""


async def collect_outcomes(
    settings: Settings, service: Endpoint, split: Split, per_task: int, seed: int
) -> Collected:
    """Ask every enabled expert `per_task` questions a task."""
    async with open_registry(settings) as registry:
        experts = [e for e in await registry.list() if e.enabled]
    generalists = [e.name for e in experts if e.generalist]
    if not generalists:
        raise SetupError("no generalist is enabled; name one: collegium expert update … ")
    examples = [e for task in TASKS.values() for e in task.examples(split, per_task, seed)]
    log = settings.cache_dir / "outcomes" / f"{split}.jsonl"
    stamps = {e.name: cell_fingerprint(e, weights=adapter_folder(e)) for e in experts}
    try:
        outcomes = await collect(
            service.ask,
            stamps,
            examples,
            TASKS,
            log,
            split=split,
            concurrency=CONCURRENCY,
        )
    except httpx.HTTPError as exc:
        raise SetupError(f"the service went away: {exc}") from exc
    prints = tuple(map(fingerprint, experts))
    return Collected(outcomes, generalists[0], prints, tuple(stamps.values()))


async def collect_panels(
    settings: Settings, service: Endpoint, found: Collected, modes: Sequence[str]
) -> Outcomes:
    """Ask a panel of each mode the same questions; it goes on where it was interrupted."""
    stamp = hashlib.sha256("\0".join((PANELS, *found.stamps)).encode()).hexdigest()[:16]
    prompts = found.outcomes.prompts
    return await collect(
        service.ask,
        {f"collegium/{mode}": stamp for mode in modes},
        prompts,
        TASKS,
        settings.cache_dir / "outcomes" / "panels.jsonl",
        concurrency=PANEL_CONCURRENCY,
    )
