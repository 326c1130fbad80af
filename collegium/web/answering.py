"""One request's answer: asked of the chosen expert, labelled with the decision, accounted for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any, Literal

from msgspec import structs

from collegium.errors import CollegiumError
from collegium.experts.clients.events import Json
from collegium.experts.dispatch.attempts import Attempts
from collegium.experts.dispatch.terms import ANY_TIME, Terms
from collegium.registry.decisions import DecisionRecord, OutcomeRecord
from collegium.registry.expert import Expert
from collegium.registry.tables import to_columns
from collegium.router.costs import price_usd
from collegium.router.decision import Decision, Limits, Query
from collegium.router.router import Availability
from collegium.web.service import Service

Status = Literal["ok", "error", "cancelled"]
NO_LIMITS = vars(Limits())
CHUNK = ("id", "object", "created", "model")  # what every chunk of a stream has


async def decide(
    service: Service, query: Query, session: str | None, unavailable: Availability | None = None
) -> tuple[Decision, tuple[Expert, ...]]:
    """Let the router decide, with what is known of the conversation.

    The expert that it chose comes first, then those that may take its place, best first.
    `unavailable` says who can't answer: by default as the pool is now, and engines that take turns
    are waited for as it forecasts.
    """
    experts = await service.experts()
    query = replace(query, session_expert=await service.session_expert(session))
    pool = service.pool
    waits = pool.waits if unavailable is None else None
    decision = await service.router.decide(query, experts, unavailable or pool.unavailable, waits)
    by_name = {e.name: e for e in experts}
    fitting = [f.expert for f in decision.forecasts if f.feasible and f.expert != decision.expert]
    return decision, tuple(by_name[name] for name in (decision.expert, *fitting))


class Answer:
    """An answer in the making. Every way out of it records one outcome."""

    def __init__(
        self,
        service: Service,
        decision: Decision,
        candidates: Sequence[Expert],
        terms: Terms = ANY_TIME,
    ) -> None:
        self.decision = decision
        self._service = service
        self._attempts = Attempts(service.pool, candidates, terms)
        self._started = time.perf_counter()
        self._ttft_ms: float | None = None
        self._usage: tuple[int, int] = (0, 0)
        self._outcome: Json | None = None
        self._load = 0

    @property
    def expert(self) -> Expert:
        """Who answers: the chosen one, or who took its place before the answer began."""
        return self._attempts.expert

    @property
    def answered_by(self) -> str:
        """The name under which the answer is given."""
        return self.expert.name

    async def begin(self, query: Query, session: str | None) -> None:
        """Write the decision down before anything is asked: it outlives a crash."""
        record = decision_record(self.decision, query, session)
        if not self._service.settings.record_prompts:
            record = replace(record, prompt=None)
        await self._service.log.record(record)
        await self._service.keep_session(session, self.decision.expert)
        self._service.metrics.decided(self.decision)

    async def whole(self, body: Mapping[str, Any], *, show: bool = False) -> Json:
        """Ask and return the whole answer."""
        try:
            with self._service.speeds.answering(self.expert) as self._load:
                answer = await self._attempts.complete(body)
        except CollegiumError as exc:
            self._finish("error", str(exc))
            raise
        except asyncio.CancelledError:  # the client left
            self._finish("cancelled")
            raise
        self._count(answer.get("usage"))
        outcome = self._finish("ok")
        labels = {"decision": decision_json(self.decision), "outcome": outcome}
        return {**answer, "model": self.expert.name, "collegium": labels}

    async def chunks(
        self, body: Mapping[str, Any], *, usage: bool, show: bool = False
    ) -> AsyncGenerator[Json]:
        """Ask and yield the answer's chunks: the decision on the first, the outcome on the last."""
        status: Status = "cancelled"
        error: str | None = None
        try:
            async with aclosing(self._labelled(body, usage=usage)) as chunks:
                async for chunk in chunks:
                    yield chunk
            status = "ok"
        except CollegiumError as exc:
            status, error = "error", str(exc)
            raise
        finally:
            if status != "ok":
                self._finish(status, error)

    async def _labelled(self, body: Mapping[str, Any], *, usage: bool) -> AsyncGenerator[Json]:
        first, last = True, None
        latest: Json = {}
        usage_chunk: Json | None = None
        async with aclosing(self._asked(body)) as chunks:
            async for chunk in chunks:
                self._count(chunk.get("usage"))
                if not chunk.get("choices"):
                    usage_chunk = chunk
                    continue
                if first:
                    chunk, first = self._first(chunk), False
                if any(choice.get("finish_reason") for choice in chunk["choices"]):
                    if last is not None:
                        yield last
                    last = chunk  # held back until the usage is known
                    continue
                yield (latest := chunk)
        outcome = {"collegium": {"outcome": self._finish("ok")}}
        if last is None and latest:  # some servers end without a reason
            last = {name: latest[name] for name in CHUNK if name in latest}
            last["choices"] = [{"index": 0, "delta": {}, "finish_reason": None}]
        if last is not None:
            yield _merged(last, outcome)
        if usage and usage_chunk is not None:
            yield usage_chunk

    async def _asked(self, body: Mapping[str, Any]) -> AsyncGenerator[Json]:
        with self._service.speeds.answering(self.expert) as self._load:
            async with aclosing(self._attempts.stream(body)) as chunks:
                async for chunk in chunks:
                    if self._ttft_ms is None and _has_text(chunk):
                        self._ttft_ms = self._elapsed_ms()
                    yield {**chunk, "model": self.expert.name}

    def _first(self, chunk: Json) -> Json:
        route = self.decision.policy
        metadata = {"route": route, "model": self.expert.name, "provider": "collegium"}
        labels: Json = {"decision": decision_json(self.decision), "expert": self.expert.name}
        if self._attempts.tried:
            labels["tried"] = self._tried()
        return {**chunk, "x-router-metadata": metadata, "collegium": labels}

    def _tried(self) -> list[Json]:
        return [asdict(tried) for tried in self._attempts.tried]

    def _count(self, usage: Any) -> None:
        if isinstance(usage, Mapping):
            prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
            self._usage = (int(prompt or 0), int(completion or 0))

    def _elapsed_ms(self) -> float:
        return 1000 * (time.perf_counter() - self._started)

    def _finish(self, status: Status, error: str | None = None) -> Json:
        """Account for the answer, once; the record is written in the background."""
        if self._outcome is not None:
            return self._outcome
        latency_ms, service = self._elapsed_ms(), self._service
        waited_s, loaded_s = self._attempts.waited_s, self._attempts.loaded_s
        own_ms = latency_ms - 1000 * loaded_s  # its own time, whoever was loaded before it
        cost = price_usd(self.expert, *self._usage)
        record = OutcomeRecord(
            decision_id=self.decision.id,
            status=status,
            expert=self.expert.name,
            tried=self._tried() or None,
            waited_ms=None if waited_s is None else 1000 * (loaded_s + waited_s),
            error=error,
            prompt_tokens=self._usage[0],
            completion_tokens=self._usage[1],
            cost_usd=cost,
            latency_ms=latency_ms,
            ttft_ms=self._ttft_ms,
            energy_j=service.speeds.energy_j(self.expert, own_ms),
        )
        service.spawn(service.log.finish(record))
        name = self.expert.name
        service.metrics.ended(self.decision)
        if service.learner is not None and name != self.decision.expert:
            service.learner.forget(self.decision.id)
        service.metrics.answered(name, status, latency_ms, self._ttft_ms, self._usage, cost)
        if status == "ok":
            service.speeds.learn(
                name,
                own_ms,
                self._usage[1],
                prompt_tokens=self._usage[0],
                ttft_ms=None if self._ttft_ms is None else self._ttft_ms - 1000 * loaded_s,
                load=self._load,
            )
        hidden = ("decision_id", "finished_at", "calls")
        self._outcome = {k: v for k, v in to_columns(record).items() if k not in hidden}
        return self._outcome


def decision_json(decision: Decision) -> Json:
    """A decision as the API shows it. (`asdict` copies deeply: with 20 experts 0.2 ms.)"""
    skills = {k: round(v, 4) for k, v in decision.skills.items()}
    return {**vars(decision), "skills": skills, "forecasts": _forecasts(decision)}


def decision_record(decision: Decision, query: Query, session: str | None) -> DecisionRecord:
    """A decision as the registry keeps it."""
    limits = {k: v for k, v in vars(query.limits).items() if v != NO_LIMITS[k]}
    return DecisionRecord(
        id=decision.id,
        created_at=datetime.now(UTC),
        requested_model=decision.requested_model,
        expert=decision.expert,
        policy=decision.policy,
        confidence=decision.confidence,
        reason=decision.reason,
        prompt=query.text,
        session=session,
        forecasts=_forecasts(decision),
        limits=limits,
        propensity=decision.propensity,
    )


def _forecasts(decision: Decision) -> list[Json]:
    return [structs.asdict(forecast) for forecast in decision.forecasts]


def decision_headers(
    decision: Decision, expert: str | None = None, cost_usd: float | None = None
) -> dict[str, str]:
    """The headers that tell who answers (by default the chosen one) and why."""
    expert = expert or decision.expert
    cost = decision.forecast.cost_usd if cost_usd is None else cost_usd
    return {
        "x-collegium-expert": expert,
        "x-collegium-policy": decision.policy,
        "x-collegium-confidence": f"{decision.confidence:.4f}",
        "x-collegium-cost-usd": f"{cost:.8f}",
        "x-collegium-overhead-ms": f"{decision.overhead_ms:.2f}",
        "x-collegium-decision-id": decision.id,
        "X-Router-Route": decision.policy,
        "X-Router-Model": expert,
    }


def _has_text(chunk: Json) -> bool:
    deltas = [choice.get("delta") or {} for choice in chunk.get("choices") or []]
    return any(delta.get("content") or delta.get("tool_calls") for delta in deltas)


def _merged(chunk: Json, labels: Mapping[str, Any]) -> Json:
    before = chunk.get("collegium") or {}
    return {**chunk, "collegium": {**before, **labels["collegium"]}}
