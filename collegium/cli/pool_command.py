"""`collegium pool plan`: which GPUs the models of a pool would run on, and what would not fit."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from collegium.cli.output import json_option, print_json, print_table, warn

if TYPE_CHECKING:
    from collegium.experts.placement.plan import Card, Plan
    from collegium.experts.placement.pool_file import PlannedPool


REMEDY = (
    "To make it fit: more or larger GPUs, a smaller context, fewer sequences, or quantised weights."
)


@click.group(epilog="Example: collegium pool plan --gpus 2x80 pool.toml")
def command() -> None:
    """Plan where the models of a pool run."""


@command.command(epilog="Example: collegium pool plan --gpus 2x80 pool.toml --json")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--gpus", help="Number of GPUs and GiB of each, as 2x80. Default: this machine's.")
@json_option
def plan(file: Path, gpus: str | None, as_json: bool) -> None:
    """Place the experts of a pool.toml on GPUs; exit with 1 if one does not fit."""
    from collegium.experts.placement.pool_file import needs_of, parse_cards, read_pool
    from collegium.experts.placement.program import solve

    pool = read_pool(file)
    cards = parse_cards(gpus) if gpus is not None else _cards_here()
    found = solve(needs_of(pool, file.parent, cards), cards)
    if as_json:
        print_json(_as_json(found, pool, cards))
    else:
        _print(found, pool, cards)
    if found.unplaced:
        click.get_current_context().exit(1)


def _cards_here() -> list[Card]:
    from collegium.errors import SetupError
    from collegium.experts.placement.nvml import cards_here

    cards = cards_here()
    if not cards:
        raise SetupError("no NVIDIA GPU was found on this machine: name them, as --gpus 2x80")
    return cards


def _as_json(plan: Plan, pool: PlannedPool, cards: list[Card]) -> dict[str, Any]:
    return {
        "cards": [{**asdict(card), "left_gib": plan.left_gib[card.index]} for card in cards],
        "placements": [asdict(placement) for placement in plan.placements],
        "loras": {lora.name: lora.base for lora in pool.lora},
        "unplaced": plan.unplaced,
        "moved": plan.moved,
        "optimal": plan.optimal,
    }


def _print(plan: Plan, pool: PlannedPool, cards: list[Card]) -> None:
    rows = [
        (p.engine, p.device, f"{p.gib:.1f}", f"{p.kv_gib:.1f}", f"{p.utilization:.4f}",
         "always" if p.resident else "in turn",
         ", ".join(lora.name for lora in pool.lora if lora.base == p.engine) or "-")
        for p in plan.placements
    ]  # fmt: skip
    header = ("EXPERT", "CARDS", "GIB A CARD", "OF IT KV", "UTILIZATION", "LOADED", "LORAS")
    print_table(header, rows)
    for card in cards:
        left = plan.left_gib[card.index]
        click.echo(f"Card {card.index}: {left:.1f} of {card.memory_gib:g} GiB left.")
    for name in plan.moved:
        click.echo(f"Moves: {name}.")
    for name, why in plan.unplaced.items():
        click.echo(f"Does not fit: {name}: {why}.")
    if plan.unplaced:
        click.echo(REMEDY)
    if not plan.optimal:
        warn("the solver ran out of time: a better plan may exist.")
