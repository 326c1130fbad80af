"""Recover answers' durations and engines' loads from the registry's log."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from collegium.experts.dispatch.in_flight import place_of
from collegium.registry.decisions.log import LoggedDecision
from collegium.registry.expert import Expert
from collegium.router.latency import Timing, loads


def recorded(
    log: Sequence[LoggedDecision], experts: Sequence[Expert], *, turns: bool = False
) -> dict[str, list[Timing]]:
    """The finished answers of registered experts by name, oldest first.

    Nobody wrote the load down; it is how many answers of the same engine had begun and not ended.
    Where engines take `turns`, what was waited for one is not the expert's own time.
    """
    in_turn = {expert.name for expert in experts if turns and expert.engine is not None}
    places = {expert.name: place_of(expert) for expert in experts}
    answers = sorted(
        (entry for entry in log if entry.outcome and entry.answered_by in places),
        key=lambda entry: entry.decision.created_at,
    )
    found: dict[str, list[Timing]] = {}
    for entry, load in zip(answers, _loads(answers, places), strict=True):
        if (timing := _timing(entry, load, entry.answered_by in in_turn)) is not None:
            found.setdefault(entry.answered_by, []).append(timing)
    return found


def lengths(log: Sequence[LoggedDecision]) -> list[tuple[str, str | None, int]]:
    """Finished answers of single experts, oldest first: expert, application, tokens."""
    answers = sorted(
        (entry for entry in log if entry.outcome and entry.outcome.calls is None),
        key=lambda entry: entry.decision.created_at,
    )
    return [
        (entry.answered_by, _application(entry), tokens)
        for entry in answers
        if entry.outcome is not None
        and entry.outcome.status == "ok"
        and not entry.outcome.estimated
        and (tokens := entry.outcome.completion_tokens)
    ]


def _application(entry: LoggedDecision) -> str | None:
    found: str | None = getattr(entry.decision, "application", None)
    return found


def _loads(answers: Sequence[LoggedDecision], places: dict[str, str]) -> list[float]:
    where = np.array([places[entry.answered_by] for entry in answers])
    began = np.array([entry.decision.created_at.timestamp() for entry in answers])
    ended = np.array([e.outcome.finished_at.timestamp() if e.outcome else 0.0 for e in answers])
    found = np.zeros(len(answers))
    for place in set(where.tolist()):
        here = where == place
        found[here] = loads(began[here], ended[here])
    return [float(load) for load in found]


def _timing(entry: LoggedDecision, load: float, in_turn: bool) -> Timing | None:
    outcome = entry.outcome
    if outcome is None or outcome.status != "ok" or not outcome.latency_ms:
        return None
    if not outcome.completion_tokens or outcome.estimated:
        return None
    waited_ms = (outcome.waited_ms or 0.0) if in_turn else 0.0
    return Timing(
        float(outcome.prompt_tokens or 0),
        float(outcome.completion_tokens),
        outcome.latency_ms - waited_ms,
        None if outcome.ttft_ms is None else outcome.ttft_ms - waited_ms,
        load,
    )
