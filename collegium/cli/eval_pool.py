"""`collegium eval pool`: the live pool, its router and its panels on held-out questions."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from collegium.cli.output import json_option, print_json, print_table

if TYPE_CHECKING:
    from collegium.cli.outcomes import Collected
    from collegium.evals.endpoint import Decided, Endpoint
    from collegium.evals.outcomes import Outcomes
    from collegium.evals.panels.live import LiveStudy
    from collegium.evals.pool_report import ChatShare, PoolReport
    from collegium.experts.specialists.tasks.base import Split
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
    """What the command's options say."""

    per_task: int
    seed: int
    data: Path | None
    chat: bool
    save: Path | None
    modes: Sequence[str]
    profile: Path | None

    @property
    def command(self) -> str:
        """As the report names it."""
        modes = "".join(f" --aggregate {mode}" for mode in self.modes)
        return f"collegium eval pool --per-task {self.per_task} --seed {self.seed}{modes} --json"


@click.command(epilog="Example: collegium eval pool --per-task 100 --json --html pool.html")
@click.option("--per-task", type=click.IntRange(5, 1000), default=100, help="Questions a task.")
@click.option("--seed", default=0, help="Which questions, and the bootstrap's seed.")
@click.option("--html", type=click.Path(path_type=Path), help="Write a page with plots.")
@click.option("--markdown", is_flag=True, help="Print the tables of the README.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the shared data sets.")
@click.option("--chat/--no-chat", default=True, help=f"Also route the prompts of {CHAT_SET}.")
@click.option("--save", type=click.Path(path_type=Path), help="Keep the outcomes in this folder.")
@click.option(
    "--aggregate",
    "modes",
    multiple=True,
    type=click.Choice(["all", *PANEL_MODES]),
    help="Also ask panels of this mode, and for samples that cost as much; again for more.",
)
@click.option(
    "--profile",
    type=click.Path(path_type=Path, file_okay=False),
    help="Ask validation questions instead and write panels.json, for `auto`, to this folder.",
)
@json_option
def pool(html: Path | None, markdown: bool, as_json: bool, **options: Any) -> None:
    """Ask every expert every held-out question and judge the router against them.

    Needs the service; starts one where none runs. Interrupt it at will: it goes on from there.
    """
    from collegium.evals.panels.live_report import panel_section, panel_table, panel_verdict
    from collegium.evals.report import html_page
    from collegium.evals.report_text import markdown_table, verdict

    asked = _Asked(**options)
    if asked.profile is not None and not asked.modes:
        raise click.UsageError("--profile measures panels: name them with --aggregate")
    report, study = asyncio.run(_evaluate(asked))
    if html is not None:
        html.write_text(html_page(report, panel_section(study) if study else ""))
        click.echo(f"Wrote {html}", err=True)
    if as_json:
        return print_json({**report.to_dict(), "panels": asdict(study) if study else None})
    click.echo(markdown_table(report) if markdown else verdict(report))
    if study:
        head, *lines = panel_table(study)
        print_table([word.upper() for word in head], lines)
        click.echo(f"\n{panel_verdict(study)}")


async def _evaluate(asked: _Asked) -> tuple[PoolReport, LiveStudy | None]:
    import numpy as np

    from collegium.cli.asking import endpoint
    from collegium.cli.local_service import some_service
    from collegium.cli.outcomes import collect_outcomes
    from collegium.evals.data import data_root
    from collegium.evals.pool import evaluate
    from collegium.settings import load_settings

    settings = load_settings()
    # Fails now, not after minutes of asking.
    root = data_root(asked.data) if asked.chat else None
    async with some_service(settings) as url, endpoint(settings, url) as service:
        split: Split = "test" if asked.profile is None else "validation"
        found = await collect_outcomes(settings, service, split, asked.per_task, asked.seed)
        outcomes = found.outcomes
        outcomes.require_complete()
        decided = await _decide_all(service, [e.prompt for e in outcomes.prompts])
        study = await _panels(settings, service, found, decided, asked) if asked.modes else None
        chat_share = await _chat(service, root / CHAT_SET, found.generalist) if root else None
    if asked.save is not None:
        outcomes.save(asked.save)
    report = evaluate(
        outcomes,
        {"router": outcomes.indices(d.expert for d in decided)},
        forecasts=_forecasts(outcomes, decided),
        overhead_ms=np.array([d.overhead_ms for d in decided]),
        generalist=found.generalist,
        chat=chat_share,
        command=asked.command,
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
    """Ask panels, and for samples that cost as much; write profiles where they are wanted."""
    from collegium.cli.outcomes import collect_ways
    from collegium.evals.panels.asking import ROUTED
    from collegium.evals.panels.live import best_expert, judge, panel_ways, single_ways
    from collegium.evals.panels.live_profile import live_profiles
    from collegium.evals.panels.sampled import sampled

    outcomes = found.outcomes
    chosen = outcomes.indices(d.expert for d in decided)
    routed = {e.prompt: d.expert for e, d in zip(outcomes.prompts, decided, strict=True)}
    modes = PANEL_MODES if "all" in asked.modes else tuple(dict.fromkeys(asked.modes))
    best = best_expert(outcomes)
    whose = {} if asked.profile else {best: "best", ROUTED: "routed"}
    ways = await collect_ways(settings, service, found, modes, routed, list(whose))
    columns = [*single_ways(outcomes, chosen), *panel_ways(ways.panels)]
    for name, kind in whose.items():
        drawn = ways.samples[name]
        tokens = drawn.prompt_tokens + drawn.completion_tokens
        columns += sampled(name, kind, drawn.scores, tokens, ways.texts[name])
    if asked.profile is not None:
        made_by = f"{asked.command} --profile …, {len(outcomes.prompts)} validation questions"
        profiles = live_profiles(
            outcomes, chosen, _forecasts(outcomes, decided), ways.panels, made_by=made_by
        )
        profiles.save(asked.profile)
        click.echo(f"Wrote {asked.profile / 'panels.json'}", err=True)
    return judge(columns, best, outcomes.tasks, modes=ways.panels, seed=asked.seed)


async def _decide_all(service: Endpoint, prompts: list[str]) -> list[Decided]:
    from tqdm import tqdm

    bar = tqdm(prompts, desc="routing", unit="prompt", mininterval=1.0)
    return [await service.decide(prompt) for prompt in bar]


def _forecasts(outcomes: Outcomes, decided: Sequence[Decided]) -> Any:
    """P(correct) by prompt and expert, NaN where the router made none."""
    import numpy as np

    rows = [[d.quality.get(name) for name in outcomes.experts] for d in decided]
    return np.array(rows, dtype=np.float64)


async def _chat(service: Endpoint, folder: Path, generalist: str) -> ChatShare:
    from collegium.evals.data import load_set
    from collegium.evals.pool import chat_share

    prompts = list(load_set(folder).prompts)
    decided = await _decide_all(service, prompts)
    return chat_share([d.expert for d in decided], generalist, folder.name)
