"""Outcomes of the live pool on one split of its tasks, stored so that interrupted runs resume."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import httpx

from collegium.cli.service_client import open_registry
from collegium.errors import SetupError
from collegium.evals.studies.panels.asking import WayAsker, samples_of
from collegium.evals.tasks import TASKS
from collegium.evals.tasks.base import Example, Split
from collegium.evals.tasks.cells import CellLog, cell_key
from collegium.evals.tasks.collect import collect
from collegium.evals.tasks.outcomes import Outcomes
from collegium.experts.questions.answers import fingerprint as cell_fingerprint
from collegium.experts.questions.endpoint import ROUTER, Answer, Endpoint
from collegium.experts.roster import adapter_folder
from collegium.registry.expert import AGGREGATION
from collegium.router.artifact import folder_of
from collegium.router.forecasting import fingerprint
from collegium.router.panels.profiles import FILE
from collegium.settings import Settings

CONCURRENCY = 16  # half of what the engine runs at once: it should not queue
PANEL_CONCURRENCY = 8  # of three members each
PANELS = "panels-2"
"""Changed whenever panels answer differently: stored answers are then requested again."""


@dataclass(frozen=True)
class Collected:
    """Questions and outcomes, who the generalist is, and what each expert's outcomes belong to."""

    examples: tuple[Example, ...]
    outcomes: Outcomes
    generalist: str
    fingerprints: tuple[str, ...]
    stamps: tuple[str, ...]
    """The stamps under which each expert's cells are stored."""
    aggregation: tuple[str, ...] = ()
    """Each expert's measured level as an aggregator, which decides who aggregates."""


async def collect_outcomes(
    settings: Settings, service: Endpoint, split: Split, per_task: int, seed: int
) -> Collected:
    """Ask every enabled expert `per_task` questions a task."""
    async with open_registry() as registry:
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
        raise SetupError(f"lost the connection to the service: {exc}") from exc
    prints = tuple(map(fingerprint, experts))
    levels = tuple(str(e.skills.get(AGGREGATION)) for e in experts)
    return Collected(
        tuple(examples), outcomes, generalists[0], prints, tuple(stamps.values()), levels
    )


@dataclass(frozen=True)
class Ways:
    """A pool's answers in further ways, and the texts of the samples among them."""

    panels: Outcomes
    samples: Mapping[str, Outcomes]
    """The samples by expert: the best expert's, and those of the router's choice."""
    texts: Mapping[str, list[list[Answer]]]


async def collect_ways(
    settings: Settings,
    service: Endpoint,
    found: Collected,
    modes: Sequence[str],
    routed: Mapping[str, str],
    sampled: Sequence[str],
) -> Ways:
    """Ask panels, and samples of experts, the same questions; resume after interruptions.

    `routed` is the router's choice by prompt; `sampled` names experts, or `routed`.
    """
    stamp = _stamp(settings, found)
    asker, log = WayAsker(service, routed), settings.cache_dir / "outcomes" / "panels.jsonl"

    async def asked(label: str, ways: Sequence[str]) -> Outcomes:
        return await collect(
            asker,
            dict.fromkeys(ways, stamp),
            found.examples,
            TASKS,
            log,
            concurrency=PANEL_CONCURRENCY,
            label=label,
        )

    names = [mode if mode == ROUTER else f"collegium/{mode}" for mode in modes]
    panels = await asked("asking panels", names)
    samples, texts = {}, {}
    for name in sampled:
        samples[name] = await asked(f"sampling {name}", samples_of(name))
        samples[name].require_complete()
        with CellLog(log) as cells:
            texts[name] = [
                [cells.answers[cell_key(e.prompt, way, stamp)] for way in samples_of(name)]
                for e in found.examples
            ]
    return Ways(panels, samples, texts)


def _stamp(settings: Settings, found: Collected) -> str:
    """Return what a panel's answers depend on: experts, aggregator and profiles."""
    profiles = folder_of(settings) / FILE
    measured = profiles.read_bytes() if profiles.is_file() else b""
    parts = "\0".join((PANELS, *found.stamps, *found.aggregation)).encode()
    return hashlib.sha256(parts + measured).hexdigest()[:16]
