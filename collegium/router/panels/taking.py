"""What a whole panel takes: calls, tokens, money, time, energy, summed over everybody it asks."""

from __future__ import annotations

from collections.abc import Sequence

from collegium.experts.aggregation.base import Panel
from collegium.experts.aggregation.catalogue import ModeName, Options
from collegium.experts.aggregation.grouping import Ballots
from collegium.router.costs import price_usd
from collegium.router.decision import Forecast
from collegium.router.panels.expected import vote_quality
from collegium.router.policy import quality

VOTES: tuple[ModeName, ...] = ("vote", "diverse_prompts", "cascade")
SLUG = "collegium/"
SHORT_CALL = 8
"""Tokens of a judge's or a verifier's word."""


def panel_forecast(
    mode: ModeName,
    members: Sequence[Forecast],
    panel: Panel,
    aggregator: Forecast | None,
    options: Options,
    prompt_tokens: int,
) -> Forecast:
    """One forecast for all of a panel; of a cascade the dearest case, that everyone is asked."""
    layers = options.layers if mode == "moa" else 1
    tokens = layers * sum(f.output_tokens for f in members)
    cost = layers * sum(f.cost_usd for f in members)
    latency = layers * _member_latency(mode, members)
    energies = [f.energy_j for f in members]
    further = aggregations(mode, len(members), options) if aggregator is not None else 0
    if aggregator is not None and panel.aggregator is not None:
        output = SHORT_CALL if mode == "best_of_n" else aggregator.output_tokens
        read = prompt_tokens + sum(f.output_tokens for f in members)
        cost += further * price_usd(panel.aggregator.expert, read, output)
        share = output / max(aggregator.output_tokens, 1)
        latency += aggregator.latency_ms * share * (1 if mode == "best_of_n" else further)
        tokens += further * output
        energies += [aggregator.energy_j] * further
    if mode == "best_of_n" and options.by == "self":
        cost *= 2  # each author reads its own answer again; its word is short, its reading is not
    energy = sum(e for e in energies if e is not None) * layers
    known = all(e is not None for e in energies)
    return Forecast(
        f"{SLUG}{mode}",
        _quality(mode, members, panel, options),
        cost,
        latency,
        energy if known else None,
        tokens,
    )


def calls(mode: ModeName, members: int, options: Options) -> int:
    """How many calls a mode makes at most."""
    asked = members * (options.layers if mode == "moa" else 1)
    if mode == "best_of_n" and options.by == "self":
        return 2 * asked
    return asked + aggregations(mode, members, options)


def aggregations(mode: ModeName, members: int, options: Options) -> int:
    """How many calls go to the aggregator: windows of a list, orders of a judge, or one."""
    if mode == "best_of_n":
        return 2 if options.by == "judge" else 0
    if mode == "self_moa":
        rest = max(members - options.window, 0)
        return 1 + -(-rest // (options.window - 1))
    return 1 if mode in ("moa", "nominal_group") else 0


def _member_latency(mode: ModeName, members: Sequence[Forecast]) -> float:
    times = [f.latency_ms for f in members]
    if mode == "first":
        return min(times)
    return sum(times) if mode == "cascade" else max(times)


def _quality(
    mode: ModeName, members: Sequence[Forecast], panel: Panel, options: Options
) -> float | None:
    """Counted out for votes of different experts; else no more than the best member is promised."""
    best = max(map(quality, members))
    different = len({f.expert for f in members}) == len(members)
    if mode in VOTES and different:
        return vote_quality(panel.members, Ballots(options.weights))
    return best if best >= 0 else None
