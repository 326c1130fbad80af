"""One request's answer by a panel: planned, asked, combined, accounted for."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import asdict, replace
from typing import Any

from collegium.errors import CollegiumError, NoFeasibleExpert
from collegium.experts.aggregation.catalogue import MODES
from collegium.experts.aggregation.events import (
    Chosen,
    Delta,
    Dropped,
    Event,
    Finished,
    Replied,
    Said,
    Started,
)
from collegium.experts.clients.events import Json
from collegium.experts.dispatch.terms import ANY_TIME, Terms
from collegium.registry.decisions import OutcomeRecord
from collegium.router.decision import Decision, Query
from collegium.router.panels.planning import Plan, Wish, plan, too_busy
from collegium.router.router import Availability
from collegium.web.answering import Status, decide, decision_json, decision_record
from collegium.web.ledger import Ledger
from collegium.web.panel_request import PANEL_MODELS
from collegium.web.service import Service


async def planned(
    service: Service, query: Query, wish: Wish, unavailable: Availability | None = None
) -> tuple[Decision, Plan]:
    """Let the router forecast every expert, then plan the panel; `unavailable` as in `decide`.

    Raises as the router does, ExpertBusy where only the present load breaks the panel's limits.
    """
    limits, name = query.limits, query.requested_model
    routed = "auto" if name in PANEL_MODELS else name
    # The panel as a whole has to be good enough, not each of its members.
    alone = replace(query, limits=replace(limits, min_quality=None), requested_model=routed)
    decision, _ = await decide(service, alone, None, unavailable)
    experts, tokens = await service.experts(), query.prompt_tokens or 1

    def plan_on(candidates: Decision) -> Plan:
        return plan(wish, candidates, experts, limits, service.profiles, tokens)

    try:
        found = plan_on(decision)
    except NoFeasibleExpert:
        waits = service.pool.waits if unavailable is None else None
        idle = await service.router.at_rest(decision, alone, experts, waits)
        at_rest = plan_on(idle)  # raises again where nobody ever would
        raise too_busy(at_rest, decision, idle) from None
    if found.mode == "single":
        if limits.min_quality is not None:  # one expert has to be good enough by itself
            good = replace(query, requested_model=routed)
            decision, _ = await decide(service, good, None, unavailable)
        reason = f"{decision.reason} {found.reason}"
        return replace(decision, reason=reason, requested_model=name), found
    whole = replace(
        decision,
        expert=found.forecast.expert,
        policy="panel",
        confidence=found.forecast.quality or 0.0,
        reason=found.reason,
        forecasts=(found.forecast, *decision.forecasts),
        requested_model=name,
        # A name of its own: what people think of a panel teaches nothing of the expert drawn.
        id=f"dec_{secrets.token_hex(12)}",
        propensity=1.0,
    )
    return whole, found


class PanelAnswer:
    """A panel's answer in the making. Every way out of it records one outcome."""

    def __init__(
        self,
        service: Service,
        decision: Decision,
        found: Plan,
        query: Query,
        terms: Terms = ANY_TIME,
    ) -> None:
        self.decision = decision
        self.plan = found
        self._service = service
        self._ledger = Ledger(service, query.limits.max_cost_usd, terms)
        self._mode = MODES[found.mode].make(found.options)
        self._started = time.perf_counter()
        self._ttft_ms: float | None = None
        self._outcome: Json | None = None
        self._chosen: Chosen | None = None
        self._texts: dict[int, str] = {}
        self._dropped: dict[int, str] = {}
        self._experts: dict[int, str] = {}

    @property
    def answered_by(self) -> str:
        """The name under which the answer is given: the panel's, whoever speaks for it."""
        return self.decision.expert

    async def begin(self, query: Query, session: str | None) -> None:
        """Write the decision down before anybody is asked."""
        record = decision_record(self.decision, query, session)
        if not self._service.settings.record_prompts:
            record = replace(record, prompt=None)
        await self._service.log.record(record)
        self._service.metrics.decided(self.decision)

    async def whole(self, body: Mapping[str, Any], *, show: bool) -> Json:
        """Ask, combine and return the answer."""
        async with aclosing(self._events(body)) as events:
            async for event in events:
                if isinstance(event, Finished):
                    finished = event
        choice: Json = {"index": 0, "message": finished.message}
        choice["finish_reason"] = finished.finish_reason
        if body.get("logprobs"):
            choice["logprobs"] = finished.logprobs
        return {
            **self._head("chat.completion", finished.seat),
            "choices": [choice],
            "usage": self._ledger.usage,
            "collegium": {
                "decision": self._decision_json(),
                "panel": self._panel_json(show=show),
                "outcome": self._finish("ok"),
            },
        }

    async def chunks(
        self, body: Mapping[str, Any], *, usage: bool, show: bool
    ) -> AsyncGenerator[Json]:
        """The answer's chunks; what happens on the panel is in `collegium.panel` of empty ones."""
        first = True
        async with aclosing(self._events(body)) as events:
            async for event in events:
                if isinstance(event, Said) and not show:
                    continue
                for chunk in self._chunks_of(event, body, usage=usage, show=show):
                    yield self._labelled(chunk) if first else chunk
                    first = False

    async def _events(self, body: Mapping[str, Any]) -> AsyncGenerator[Event]:
        status: Status = "cancelled"
        error: str | None = None
        try:
            async with aclosing(self._mode.run(self.plan.panel, body, self._ledger.ask)) as events:
                async for event in events:
                    self._note(event)
                    yield event
            status = "ok"
        except CollegiumError as exc:
            status, error = "error", str(exc)
            raise
        except (asyncio.CancelledError, GeneratorExit):  # the client left
            raise
        finally:
            self._finish(status, error)

    def _note(self, event: Event) -> None:
        if isinstance(event, Started):
            self._experts[event.seat] = event.expert
        elif isinstance(event, Replied):
            self._texts[event.seat] = event.text
        elif isinstance(event, Dropped):
            self._dropped[event.seat] = event.reason
        elif isinstance(event, Chosen):
            self._chosen = event
        elif isinstance(event, Delta) and self._ttft_ms is None:
            self._ttft_ms = self._elapsed_ms()

    def _chunks_of(
        self, event: Event, body: Mapping[str, Any], *, usage: bool, show: bool
    ) -> list[Json]:
        head = self._head("chat.completion.chunk", event.seat)
        if isinstance(event, Delta):
            return [{**head, "choices": [_choice(event.delta)]}]
        if not isinstance(event, Finished):
            labels = {"panel": event_json(event, show=show)}
            return [{**head, "choices": [_choice({})], "collegium": labels}]
        last = _choice({}, event.finish_reason or "stop")
        if body.get("logprobs"):
            last["logprobs"] = event.logprobs
        outcome = self._finish("ok")
        labels = {"panel": self._panel_json(show=show), "outcome": outcome}
        chunks = [{**head, "choices": [last], "collegium": labels}]
        return [*chunks, {**head, "choices": [], "usage": self._ledger.usage}] if usage else chunks

    def _labelled(self, chunk: Json) -> Json:
        """The first chunk says who was chosen to answer and why."""
        metadata = {
            "route": self.decision.policy,
            "model": self.decision.expert,
            "provider": "collegium",
        }
        labels = {"decision": self._decision_json(), **chunk.get("collegium", {})}
        return {**chunk, "x-router-metadata": metadata, "collegium": labels}

    def _head(self, kind: str, seat: int) -> Json:
        return {
            "id": f"chatcmpl-{self.decision.id}",
            "object": kind,
            "created": int(time.time()),
            "model": self._experts.get(seat, self.decision.expert),
        }

    def _decision_json(self) -> Json:
        return decision_json(self.decision) | {"panel": plan_json(self.plan)}

    def _panel_json(self, *, show: bool) -> Json:
        """What became of the panel: each call, who was chosen and how, who was dropped."""
        calls = self._ledger.rows()
        for call in calls:
            call["dropped"] = self._dropped.get(call["seat"])
            if show:
                call["answer"] = self._texts.get(call["seat"])
        chosen = None if self._chosen is None else event_json(self._chosen, show=show)
        return {"mode": self.plan.mode, "chosen": chosen, "calls": calls}

    def _elapsed_ms(self) -> float:
        return 1000 * (time.perf_counter() - self._started)

    def _finish(self, status: Status, error: str | None = None) -> Json:
        """Account for all calls, once; the record is written in the background."""
        if self._outcome is not None:
            return self._outcome
        latency_ms, service, usage = self._elapsed_ms(), self._service, self._ledger.usage
        record = OutcomeRecord(
            decision_id=self.decision.id,
            status=status,
            error=error,
            prompt_tokens=usage["prompt_tokens"],
            completion_tokens=usage["completion_tokens"],
            cost_usd=self._ledger.cost_usd,
            latency_ms=latency_ms,
            ttft_ms=self._ttft_ms,
            energy_j=self._ledger.energy_j,
            calls=self._ledger.rows(),
        )
        service.spawn(service.log.finish(record))
        # Tokens and dollars are counted call by call, under their experts.
        name = self.decision.expert
        service.metrics.ended(self.decision)
        service.metrics.answered(name, status, latency_ms, self._ttft_ms, (0, 0), 0.0)
        hidden = ("decision_id", "finished_at", "calls", "expert", "tried")
        self._outcome = {k: v for k, v in asdict(record).items() if k not in hidden}
        self._outcome["calls_latency_ms"] = sum(e.latency_ms for e in self._ledger.entries)
        return self._outcome


def plan_json(found: Plan) -> Json:
    """A plan as the API shows it."""
    panel = found.panel
    return {
        "mode": found.mode,
        "members": [{"expert": m.expert.name, "forecast": m.forecast} for m in panel.members],
        "aggregator": None if panel.aggregator is None else panel.aggregator.expert.name,
        "quorum": panel.quorum,
        "most_calls": found.calls,
    }


def event_json(event: Event, *, show: bool) -> Json:
    """An event as the API shows it; members' texts only to who wants them."""
    told = {"event": type(event).__name__.lower(), **asdict(event)}
    if not show:
        told.pop("text", None)
    return told


def _choice(delta: Mapping[str, Any], finish_reason: str | None = None) -> Json:
    return {"index": 0, "delta": dict(delta), "finish_reason": finish_reason}
