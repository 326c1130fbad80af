"""Forecast a whole panel's quality, cost and time."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from collegium.experts.aggregation.base import Member, Panel
from collegium.experts.aggregation.catalogue import mode_kind
from collegium.experts.aggregation.grouping import ALTERNATIVES, Ballots
from collegium.experts.aggregation.options import Options
from collegium.router.costs import price_usd, total_usd
from collegium.router.decision import Forecast
from collegium.router.policy import quality

VOTES: tuple[str, ...] = ("vote", "diverse_prompts", "cascade")
SLUG = "collegium/"
SHORT_CALL = 8
"""Tokens of a judge's or a verifier's word."""
MOST_VOTERS = 4  # each further one takes four times as long


def panel_forecast(
    mode: str,
    members: Sequence[Forecast],
    panel: Panel,
    aggregator: Forecast | None,
    options: Options,
    prompt_tokens: int,
) -> Forecast:
    """Return one forecast for the panel; for a cascade, the most expensive case."""
    layers = options.layers if mode == "moa" else 1
    tokens = layers * sum(f.output_tokens for f in members)
    costs = [f.cost_usd for f in members] * layers
    latency = layers * _member_latency(mode, members)
    energies = [f.energy_j for f in members]
    further = aggregations(mode, len(members), options) if aggregator is not None else 0
    if aggregator is not None and panel.aggregator is not None:
        output = SHORT_CALL if mode == "best_of_n" else aggregator.output_tokens
        read = prompt_tokens + sum(f.output_tokens for f in members)
        costs += [price_usd(panel.aggregator.expert, read, output)] * further
        share = output / max(aggregator.output_tokens, 1)
        latency += aggregator.latency_ms * share * (1 if mode == "best_of_n" else further)
        tokens += further * output
        energies += [aggregator.energy_j] * further
    if mode == "best_of_n" and options.by == "self":
        costs *= 2  # each author reads its own answer again; its word is short, its reading is not
    energy = sum(e for e in energies if e is not None) * layers
    known = all(e is not None for e in energies)
    return Forecast(
        f"{SLUG}{mode}",
        _quality(mode, members, panel, options),
        total_usd(costs),
        latency,
        energy if known else None,
        tokens,
        most_usd=_most(mode, members, panel, aggregator, options, prompt_tokens),
        most_tokens=layers * sum(f.most_tokens for f in members)
        + further * (0 if aggregator is None else aggregator.most_tokens),
    )


def _most(
    mode: str,
    members: Sequence[Forecast],
    panel: Panel,
    aggregator: Forecast | None,
    options: Options,
    prompt_tokens: int,
) -> float | None:
    """Return a bound for nearly every panel; None if a member's is unknown."""
    if any(f.most_usd is None for f in members):
        return None
    layers = options.layers if mode == "moa" else 1
    further = aggregations(mode, len(members), options)
    total = layers * sum(f.most_usd or 0.0 for f in members)
    read = sum(f.most_tokens for f in members)
    if mode == "best_of_n" and options.by == "self":
        total *= 2
    if layers > 1:  # each author of a later layer reads what all wrote before
        experts = [member.expert for member in panel.members]
        again = total_usd(price_usd(expert, read, 0) for expert in experts)
        if again is None:
            return None
        total += (layers - 1) * again
    if aggregator is not None and panel.aggregator is not None:
        expert, word = panel.aggregator.expert, mode == "best_of_n"
        own = price_usd(expert, prompt_tokens, SHORT_CALL) if word else aggregator.most_usd
        reading = price_usd(expert, read, 0)
        if own is None or reading is None:
            return None
        total += further * (own + reading)
    return total


def calls(mode: str, members: int, options: Options) -> int:
    """Return the maximum number of calls of a mode."""
    asked = members * (options.layers if mode == "moa" else 1)
    if mode == "best_of_n" and options.by == "self":
        return 2 * asked
    return asked + aggregations(mode, members, options)


def aggregations(mode: str, members: int, options: Options) -> int:
    """Return the number of calls to the aggregator."""
    if mode == "best_of_n":
        return 2 if options.by == "judge" else 0
    if mode == "self_moa":
        rest = max(members - options.window, 0)
        return 1 + -(-rest // (options.window - 1))
    return 1 if mode_kind(mode).combines else 0


def _member_latency(mode: str, members: Sequence[Forecast]) -> float:
    times = [f.latency_ms for f in members]
    if mode == "first":
        return min(times)
    return sum(times) if mode == "cascade" else max(times)


def _quality(
    mode: str, members: Sequence[Forecast], panel: Panel, options: Options
) -> float | None:
    """Return the exact quality for votes of different experts, otherwise the best member's."""
    best = max(map(quality, members))
    different = len({f.expert for f in members}) == len(members)
    if mode in VOTES and different:
        return vote_quality(panel.members, Ballots(options.weights))
    return best if best >= 0 else None


def vote_quality(members: Sequence[Member], ballots: Ballots) -> float | None:
    """Return P(vote is correct) for independent voters with scattered errors; None if unknown.

    All outcomes are counted out: answer 0 is right, the others are equally likely errors.
    """
    voters = [m for m in members if m.forecast is not None][:MOST_VOTERS]
    if not voters:
        return None
    weights = [ballots.weight(voter) for voter in voters]
    total = 0.0
    for answers in itertools.product(range(ALTERNATIVES), repeat=len(voters)):
        chance, held = 1.0, [0.0] * ALTERNATIVES
        for voter, answer, weight in zip(voters, answers, weights, strict=True):
            p = voter.forecast or 0.0
            chance *= p if answer == 0 else (1 - p) / (ALTERNATIVES - 1)
            held[answer] += weight
        if held[0] > max(held[1:]) or _first_is_right(answers, held):
            total += chance
    return total


def _first_is_right(answers: Sequence[int], held: Sequence[float]) -> bool:
    """Ties go to the answer of the first voter among them."""
    most = max(held)
    leaders = [answer for answer in answers if held[answer] == most]
    return leaders[0] == 0
