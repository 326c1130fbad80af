"""`collegium eval …`: the live pool on held-out questions, routers on recorded outcomes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from collegium.cli.eval_newcomers import newcomers
from collegium.cli.eval_online import online
from collegium.cli.eval_ood import ood
from collegium.cli.eval_panels import panels
from collegium.cli.eval_residency import residency
from collegium.cli.eval_routing import routing
from collegium.cli.output import json_option, print_json, print_table

if TYPE_CHECKING:
    from collegium.evals.endpoint import Decided, Endpoint
    from collegium.evals.outcomes import Outcomes
    from collegium.evals.panels.live import PanelRow
    from collegium.evals.pool_report import ChatShare, PoolReport

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
)


@click.group(epilog="Example: collegium eval pool --html report.html")
def command() -> None:
    """Measure experts and routing."""


for measured in (routing, newcomers, online, ood, panels, residency):
    command.add_command(measured)


@command.command(epilog="Example: collegium eval pool --per-task 100 --json --html pool.html")
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
    help="Also ask panels of this mode; again for more.",
)
@json_option
def pool(html: Path | None, markdown: bool, as_json: bool, **options: Any) -> None:
    """Ask every expert every held-out question and judge the router against them.

    Needs the service; starts one where none runs. Interrupt it at will: it goes on from there.
    """
    from collegium.evals.panels.live import panel_table
    from collegium.evals.report import html_page
    from collegium.evals.report_text import markdown_table, verdict

    report, rows = asyncio.run(_evaluate(**options))
    if html is not None:
        html.write_text(html_page(report))
        click.echo(f"Wrote {html}", err=True)
    if as_json:
        print_json({**report.to_dict(), "panels": [asdict(row) for row in rows]})
    elif markdown:
        click.echo(markdown_table(report))
    else:
        click.echo(verdict(report))
    if rows and not as_json:
        head, *lines = panel_table(rows)
        print_table([word.upper() for word in head], lines)


async def _evaluate(
    per_task: int, seed: int, data: Path | None, chat: bool, save: Path | None, modes: Sequence[str]
) -> tuple[PoolReport, Sequence[PanelRow]]:
    import numpy as np

    from collegium.cli.asking import endpoint
    from collegium.cli.local_service import some_service
    from collegium.cli.outcomes import collect_outcomes, collect_panels
    from collegium.evals.data import data_root
    from collegium.evals.panels.live import compare
    from collegium.evals.pool import evaluate
    from collegium.settings import load_settings

    settings = load_settings()
    root = data_root(data) if chat else None  # fails now, not after minutes of asking
    async with some_service(settings) as url, endpoint(settings, url) as service:
        found = await collect_outcomes(settings, service, "test", per_task, seed)
        decided = await _decide_all(service, [e.prompt for e in found.outcomes.prompts])
        asked = PANEL_MODES if "all" in modes else modes
        panels = await collect_panels(settings, service, found, asked) if asked else None
        chat_share = await _chat(service, root / CHAT_SET, found.generalist) if root else None
    outcomes = found.outcomes
    outcomes.require_complete()
    if save is not None:
        outcomes.save(save)
    chosen = outcomes.indices(d.expert for d in decided)
    report = evaluate(
        outcomes,
        {"router": chosen},
        forecasts=_forecasts(outcomes, decided),
        overhead_ms=np.array([d.overhead_ms for d in decided]),
        generalist=found.generalist,
        chat=chat_share,
        command=f"collegium eval pool --per-task {per_task} --seed {seed} --json",
        seed=seed,
    )
    return report, () if panels is None else compare(outcomes, chosen, panels, seed=seed)


async def _decide_all(service: Endpoint, prompts: list[str]) -> list[Decided]:
    from tqdm import tqdm

    bar = tqdm(prompts, desc="routing", unit="prompt", mininterval=1.0)
    return [await service.decide(prompt) for prompt in bar]


def _forecasts(outcomes: Outcomes, decided: list[Decided]) -> Any:
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
