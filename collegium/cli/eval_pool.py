"""`collegium eval pool`: the live pool, its router and its panels on held-out questions."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from collegium.cli.output import command_line, json_option, print_json

if TYPE_CHECKING:
    from collegium.cli.outcomes import Collected
    from collegium.evals.routing.live import ChatShare, LiveReport
    from collegium.evals.studies.panels.live import LiveStudy
    from collegium.evals.tasks.base import Split
    from collegium.experts.questions.endpoint import Decided, Endpoint
    from collegium.settings import Settings

CHAT_SET = "alpacaeval2"
PANEL_MODES = (
    "first",
    "vote",
    "best_of_n",
    "moa",
    "self_moa",
    "cascade",
    "nominal_group",
    "diverse_prompts",
    "auto",
)


@dataclass(frozen=True)
class _Asked:
    """The command's options."""

    per_task: int
    seed: int
    data: Path | None
    chat: bool
    save: Path | None
    modes: Sequence[str]
    profile: Path | None


@click.command(epilog="Example: collegium eval pool --per-task 100 --json --html pool.html")
@click.option("--per-task", type=click.IntRange(5, 1000), default=100, help="Questions per task.")
@click.option("--seed", default=0, help="Seed of the questions and the bootstrap.")
@click.option("--html", type=click.Path(path_type=Path), help="Write a page with plots.")
@click.option("--markdown", is_flag=True, help="Print the tables as Markdown.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the data sets.")
@click.option("--chat/--no-chat", default=True, help=f"Also route the prompts of {CHAT_SET}.")
@click.option("--save", type=click.Path(path_type=Path), help="Store the outcomes in this folder.")
@click.option(
    "--aggregate",
    "modes",
    multiple=True,
    type=click.Choice(["all", *PANEL_MODES]),
    help="Also run panels of this mode, and samples at equal cost; repeatable.",
)
@click.option(
    "--profile",
    type=click.Path(path_type=Path, file_okay=False),
    help="Use validation questions and write panels.json, for `auto`, to this folder.",
)
@json_option
def pool(html: Path | None, markdown: bool, as_json: bool, **options: Any) -> None:
    """Send every held-out question to every expert, and evaluate the router.

    Uses the running service, or starts one. An interrupted run continues where it stopped.
    """
    asked = _Asked(**options)
    if asked.profile is not None and not asked.modes:
        raise click.UsageError("--profile measures panels: name them with --aggregate")
    report, study = asyncio.run(_evaluate(asked))
    if html is not None:
        _write_page(report, study, html)
    if as_json:
        return print_json({**report.to_dict(), "panels": asdict(study) if study else None})
    _show(report, study, markdown=markdown)


def _write_page(report: LiveReport, study: LiveStudy | None, html: Path) -> None:
    from collegium.evals.routing.page import live_page
    from collegium.evals.studies.panels.live_report import panel_card

    further = [] if study is None else [panel_card(study)]
    html.write_text(live_page(report, *further), encoding="utf-8")
    click.echo(f"Wrote {html}", err=True)


def _show(report: LiveReport, study: LiveStudy | None, *, markdown: bool) -> None:
    from collegium.cli.eval_routing import print_report, print_rows
    from collegium.evals.routing import text
    from collegium.evals.studies.panels.live_report import panel_table, panel_verdict

    print_rows(text.skills(report), markdown=markdown)
    print_report(report.routing, markdown=markdown)
    click.echo(f"\n{text.live_verdict(report)}")
    if study:
        click.echo()
        print_rows(panel_table(study), markdown=markdown)
        click.echo(panel_verdict(study))


async def _evaluate(asked: _Asked) -> tuple[LiveReport, LiveStudy | None]:
    from collegium.cli.local_service import endpoint, some_service
    from collegium.cli.outcomes import collect_outcomes
    from collegium.evals.core.data import data_root
    from collegium.evals.routing.embeddings import EmbeddingCache
    from collegium.evals.routing.encoders import encoder
    from collegium.evals.routing.live import judge_pool
    from collegium.settings import load_settings

    settings = load_settings()
    # Fails now, not after minutes of asking.
    root = data_root(asked.data) if asked.chat else None
    async with some_service() as url, endpoint(settings, url) as service:
        split: Split = "test" if asked.profile is None else "validation"
        found = await collect_outcomes(settings, service, split, asked.per_task, asked.seed)
        outcomes = found.outcomes
        outcomes.require_complete()
        decided = await _decide_all(service, outcomes.prompts)
        study = await _panels(settings, service, found, decided, asked) if asked.modes else None
        chat_share = await _chat(service, root / CHAT_SET, found.generalist) if root else None
    if asked.save is not None:
        outcomes.save(asked.save)
    report = judge_pool(
        outcomes,
        decided,
        encoder(settings.encoder),
        EmbeddingCache(settings.cache_dir),
        chat=chat_share,
        command=command_line(),
        seed=asked.seed,
    )
    return report, study


async def _panels(
    settings: Settings,
    service: Endpoint,
    found: Collected,
    decided: Sequence[Decided],
    asked: _Asked,
) -> LiveStudy:
    """Ask panels, and samples of equal cost; write profiles if requested."""
    from collegium.cli.outcomes import collect_ways
    from collegium.evals.routing.live import forecasts
    from collegium.evals.studies.panels.asking import ROUTED
    from collegium.evals.studies.panels.live import best_expert, judge, panel_ways, single_ways
    from collegium.evals.studies.panels.live_profile import live_profiles
    from collegium.evals.studies.panels.sampled import sampled

    outcomes = found.outcomes
    chosen = outcomes.indices(d.expert for d in decided)
    routed = {p: d.expert for p, d in zip(outcomes.prompts, decided, strict=True)}
    modes = PANEL_MODES if "all" in asked.modes else tuple(dict.fromkeys(asked.modes))
    best = best_expert(outcomes)
    whose = {} if asked.profile else {best: "best", ROUTED: "routed"}
    ways = await collect_ways(settings, service, found, modes, routed, list(whose))
    columns = [*single_ways(outcomes, chosen), *panel_ways(ways.panels)]
    for name, kind in whose.items():
        drawn = ways.samples[name]
        columns += sampled(name, kind, drawn.scores, drawn.tokens, ways.texts[name])
    if asked.profile is not None:
        made_by = f"{command_line()}, {len(outcomes.prompts)} validation questions"
        profiles = live_profiles(
            outcomes, chosen, forecasts(outcomes, decided), ways.panels, made_by=made_by
        )
        profiles.save(asked.profile)
        click.echo(f"Wrote {asked.profile / 'panels.json'}", err=True)
    tasks = list(map(str, outcomes.labels["task"]))
    return judge(columns, best, tasks, modes=ways.panels, seed=asked.seed)


async def _decide_all(service: Endpoint, prompts: Sequence[str]) -> list[Decided]:
    from tqdm import tqdm

    bar = tqdm(prompts, desc="routing", unit="prompt", mininterval=1.0)
    return [await service.decide(prompt) for prompt in bar]


async def _chat(service: Endpoint, folder: Path, generalist: str) -> ChatShare:
    from collegium.evals.core.data import load_set
    from collegium.evals.routing.live import chat_share

    decided = await _decide_all(service, load_set(folder).prompts)
    return chat_share(decided, generalist, folder.name)
