"""Decisions, plans and panels in the shapes of the API and of the registry."""

from __future__ import annotations

from dataclasses import asdict
from urllib.parse import quote

from collegium.experts.aggregation.events import PanelEvent
from collegium.experts.clients.events import Json
from collegium.router.decision import Decision
from collegium.router.panels.plan import Plan
from collegium.web.serving.decide import Decided
from collegium.web.serving.outcome import Outcome


def decided_json(decided: Decided) -> Json:
    """A decision, and the panel's plan where one was asked for."""
    shown = decision_json(decided.decision)
    return shown if decided.plan is None else shown | {"panel": plan_json(decided.plan)}


def decision_json(decision: Decision) -> Json:
    """A decision as the API shows it. Forecasts stay as they are: msgspec writes them as JSON."""
    return {**vars(decision), "skills": {k: round(v, 4) for k, v in decision.skills.items()}}


def decision_headers(
    decision: Decision, expert: str | None = None, outcome: Json | None = None
) -> dict[str, str]:
    """The headers that tell who answers (by default the chosen one), why, and what it costs.

    That is forecast before there is an outcome, and not told where a price is unknown.
    """
    expert = expert or decision.expert
    cost = decision.forecast.cost_usd if outcome is None else outcome["cost_usd"]
    headers = {} if cost is None else {"x-collegium-cost-usd": f"{cost:.8f}"}
    headers |= {
        "x-collegium-expert": expert,
        "x-collegium-policy": decision.policy,
        "x-collegium-confidence": f"{decision.confidence:.4f}",
        "x-collegium-overhead-ms": f"{decision.overhead_ms:.2f}",
        "x-collegium-decision-id": decision.id,
        "X-Router-Route": decision.policy,
        "X-Router-Model": expert,
    }
    if decision.application is not None:
        headers["x-collegium-application"] = header_text(decision.application)
    return headers


def header_text(text: str) -> str:
    """A text as a header can hold it: what is not ASCII is percent-encoded."""
    return text if text.isascii() else quote(text, safe=" /:@+,;=")


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
    """What became of a panel: each call, who was chosen and how, who was dropped."""
    calls = outcome.rows()
    for call in calls:
        call["dropped"] = outcome.dropped.get(call["seat"])
        if show:
            call["answer"] = outcome.texts.get(call["seat"])
    chosen = None if outcome.chosen is None else event_json(outcome.chosen, show=show)
    return {"mode": outcome.decided.mode.name, "chosen": chosen, "calls": calls}


def event_json(event: PanelEvent, *, show: bool) -> Json:
    """An event as the API shows it; members' texts only to who wants them."""
    told = {"event": type(event).__name__.lower(), **asdict(event)}
    if not show:
        told.pop("text", None)
    return told
