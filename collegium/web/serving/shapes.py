"""Decisions, plans and panels in the formats of the API and of the registry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import TYPE_CHECKING
from urllib.parse import quote

from collegium.experts.aggregation.events import PanelEvent
from collegium.experts.clients.events import Json
from collegium.experts.dispatch.terms import SLOWER
from collegium.router.decision import Decision
from collegium.router.panels.plan import Plan
from collegium.web.serving.decide import Decided
from collegium.web.serving.outcome import Outcome

if TYPE_CHECKING:
    from collegium.web.serving.lookup import Lookup

COST, FORECAST = "x-collegium-cost-usd", "x-collegium-cost-forecast-usd"
ADJUSTED = "x-collegium-adjusted"
"""The header that says what of a request was changed so that it fits its expert."""
LONGEST = 1000
"""Characters of a header that lists what a caller sent."""
DROPPED = "x-collegium-dropped"
"""Names the parameters of the request that the expert does not take and did not get."""


def decided_json(decided: Decided, tried: Sequence[Json] | None = None) -> Json:
    """Return a decision, and the panel's plan if one was requested.

    Its reason also names the experts that were `tried` and failed; the recorded one does not.
    """
    shown = decision_json(decided.decision)
    if failed := [f"{each['expert']} ({each['code']})" for each in tried or () if _failed(each)]:
        shown["reason"] += (
            f" Asked before the expert that answered, but failed: {', '.join(failed)}."
        )
    return shown if decided.plan is None else shown | {"panel": plan_json(decided.plan)}


def _failed(tried: Json) -> bool:
    """Whether an attempt failed: of a hedged request, one was only slower."""
    return bool(tried["code"] != SLOWER)


def decision_json(decision: Decision) -> Json:
    """A decision as the API shows it. Forecasts stay as they are: msgspec writes them as JSON."""
    return {**vars(decision), "skills": {k: round(v, 4) for k, v in decision.skills.items()}}


def decision_headers(
    decision: Decision, expert: str | None = None, outcome: Json | None = None
) -> dict[str, str]:
    """Return the headers with the answering expert (by default the chosen one), reason and cost.

    Before there is an outcome, as when streaming, the cost is a forecast and named as such. It is
    omitted if a price is unknown.
    """
    expert = expert or decision.expert
    if outcome is None:
        name, cost = FORECAST, decision.forecast.cost_usd
    else:
        name, cost = COST, outcome["cost_usd"]
    headers = {} if cost is None else {name: in_digits(cost)}
    headers |= {
        "x-collegium-expert": expert,
        "x-collegium-policy": decision.policy,
        "x-collegium-confidence": f"{decision.confidence:.4f}",
        "x-collegium-overhead-ms": f"{decision.overhead_ms:.2f}",
        "x-collegium-decision-id": decision.id,
        "X-Router-Route": decision.policy,
        "X-Router-Model": expert,
    }
    if outcome is not None:
        headers |= changed_headers(outcome.get("adjusted", ()), outcome.get("dropped", ()))
    if decision.conversation:
        headers["x-collegium-conversation"] = header_text(decision.conversation)
    if decision.application is not None:
        headers["x-collegium-application"] = header_text(decision.application)
    return headers


def cache_headers(lookup: Lookup) -> dict[str, str]:
    """Return the headers of the response cache; for a hit also its age, its cost (0) and its
    saving."""
    headers: dict[str, str] = {"x-collegium-cache": lookup.status}
    if (answer := lookup.answer) is None:
        return headers
    if answer.cost_usd is not None:
        headers["x-collegium-saved-usd"] = in_digits(answer.cost_usd)
    return headers | {"Age": str(answer.age_s), COST: in_digits(0.0)}


def in_digits(usd: float) -> str:
    """Dollars as a decimal number of all their digits, at least eight of them after the point."""
    whole, _, rest = f"{Decimal(repr(float(usd))):f}".partition(".")
    return f"{whole}.{rest.ljust(8, '0')}"


def changed_headers(adjusted: Sequence[str], dropped: Sequence[str]) -> dict[str, str]:
    """The headers that say what of the request the expert did not get as it was sent."""
    told = {ADJUSTED: adjusted, DROPPED: dropped}
    return {name: header_text(", ".join(what)[:LONGEST]) for name, what in told.items() if what}


def header_text(text: str) -> str:
    """A text as a header value: characters other than printable ASCII are percent-encoded."""
    if text.isascii() and text.isprintable():
        return text
    return quote(text, safe=" /:@+,;=", errors="replace")


def plan_json(plan: Plan) -> Json:
    """A plan as the API shows it."""
    panel = plan.panel
    return {
        "mode": plan.mode,
        "members": [{"expert": m.expert.name, "forecast": m.forecast} for m in panel.members],
        "aggregator": None if panel.aggregator is None else panel.aggregator.expert.name,
        "quorum": panel.quorum,
        "most_calls": plan.calls,
    }


def panel_json(outcome: Outcome, *, show: bool) -> Json:
    """Return a panel's result: each call, the choice and its reason, and dropped members."""
    calls = outcome.rows()
    for call in calls:
        call["dropped"] = outcome.dropped.get(call["seat"])
        if show:
            call["answer"] = outcome.texts.get(call["seat"])
    chosen = None if outcome.chosen is None else event_json(outcome.chosen, show=show)
    return {"mode": outcome.decided.mode.name, "chosen": chosen, "calls": calls}


def event_json(event: PanelEvent, *, show: bool) -> Json:
    """Return an event as the API shows it; members' texts only if requested."""
    told = {"event": type(event).__name__.lower(), **asdict(event)}
    if not show:
        told.pop("text", None)
    return told
