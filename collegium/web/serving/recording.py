"""Recording of requests: no text, queries only, or everything; redacted first."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from collegium.errors import UnknownDecision
from collegium.experts.clients.events import Json
from collegium.experts.clients.reply import Fold
from collegium.registry.decisions.log import (
    DecisionLog,
    DecisionRecord,
    ExchangeRecord,
    OutcomeRecord,
)
from collegium.registry.storage.connections import to_json
from collegium.router.decision import Limits, Query
from collegium.web.serving.decide import Decided

if TYPE_CHECKING:
    from collegium.web.serving.redaction import Redactor

log = logging.getLogger(__name__)
Mode = Literal["off", "prompts", "full"]
NO_LIMITS = vars(Limits())
LONG = 10_000
"""Prompts of at least this many tokens are serialised outside the event loop."""


@dataclass(frozen=True)
class Exchange:
    """A request and its answer; None if there is no complete answer."""

    decided: Decided
    answer: Json | None


@dataclass(frozen=True)
class Recorder:
    """Writes decisions, outcomes and exchanges as the settings require."""

    log: DecisionLog
    mode: Mode = "prompts"
    redactor: Redactor | None = None

    @property
    def texts(self) -> bool:
        """Whether any text is kept."""
        return self.mode != "off"

    @property
    def keeps_words(self) -> bool:
        """Whether texts are kept as they are, and so may be in the log."""
        return self.texts and self.redactor is None

    def fold(self) -> Fold | None:
        """Return what assembles an answer that will be recorded; None if it won't be."""
        return Fold() if self.mode == "full" else None

    async def text(self, text: str) -> str | None:
        """Return the text as it may be stored; None if it may not."""
        if not self.texts:
            return None
        return text if self.redactor is None else await self.redactor.text(text)

    async def decision(self, decided: Decided) -> None:
        """Write a decision; when this returns, it outlives a crash."""
        request = decided.request
        prompt = await self.text(request.query.text) if request.is_conversation else None
        await self.log.record(_decision(decided, prompt))

    async def outcome(
        self, record: OutcomeRecord, code: str | None, exchange: Exchange | None
    ) -> None:
        """Queue an outcome and its exchange for one commit, without waiting.

        `code` is the error's, which may be kept where its words may not: upstreams quote prompts.
        """
        if self.keeps_words:
            kept = record
        else:
            kept = await self._without_words(record, code)
        writing = [self._finish(kept)]
        if exchange is not None:
            writing.append(self._exchange(exchange.decided, exchange.answer))
        await asyncio.gather(*writing)

    async def _finish(self, record: OutcomeRecord) -> None:
        try:
            await self.log.finish(record)
        except UnknownDecision:
            log.info("%s was deleted before its answer ended", record.decision_id)

    async def _exchange(self, decided: Decided, answer: Json | None) -> None:
        request = {"model": decided.decision.requested_model, **decided.request.body}
        texts = [request, answer]
        if self.redactor is not None and (texts := await self.redactor.value(texts)) is None:
            return
        long = (decided.request.query.prompt_tokens or 0) > LONG
        try:
            asked, answered = await asyncio.to_thread(_as_json, texts) if long else _as_json(texts)
        except (ValueError, RecursionError) as exc:  # NaN, or nested too deeply
            log.warning("the exchange of %s is not kept: %s", decided.decision.id, exc)
            return
        assert asked is not None
        await self.log.exchange(
            ExchangeRecord(
                decision_id=decided.decision.id,
                owner=decided.request.owner,
                application=decided.decision.application,
                session=decided.request.session,
                bytes=len(asked.encode()) + len((answered or "").encode()),
                request=asked,
                answer=answered,
            )
        )

    async def _without_words(self, record: OutcomeRecord, code: str | None) -> OutcomeRecord:
        """The record, with errors' words redacted, or with their codes alone."""
        error = None if record.error is None else await self.text(record.error) or code
        return replace(
            record,
            error=error,
            tried=await self._worded(record.tried, "code"),
            calls=await self._worded(record.calls, "status"),
        )

    async def _worded(self, rows: Any, instead: str) -> list[Json] | None:
        if rows is None:
            return None
        return [
            row if row["error"] is None else row | {"error": await self._words(row, instead)}
            for row in rows
        ]

    async def _words(self, row: Json, instead: str) -> str:
        return await self.text(row["error"]) or str(row[instead])


def _decision(decided: Decided, prompt: str | None) -> DecisionRecord:
    """A decision as the registry keeps it, with as much of the query as may be kept."""
    decision, query, hold = decided.decision, decided.request.query, decided.hold
    held = None if hold is None or not hold.counters else hold.amounts
    return DecisionRecord(
        id=decision.id,
        created_at=datetime.now(UTC) if hold is None else hold.at,
        requested_model=decision.requested_model,
        expert=decision.expert,
        policy=decision.policy,
        confidence=decision.confidence,
        reason=decision.reason,
        prompt=prompt,
        session=decided.request.session,
        forecasts=decision.forecasts,
        limits=_limits(query),
        propensity=decision.propensity,
        application=decision.application,
        router=decision.router,
        owner=decided.request.owner,
        team=decided.request.team or None,
        reserved_usd=None if held is None else held.usd,
        reserved_tokens=None if held is None else held.tokens,
        reserved_joules=None if held is None else held.joules,
    )


def _limits(query: Query) -> Json:
    given = {k: v for k, v in vars(query.limits).items() if v != NO_LIMITS[k]}
    return given if "require" not in given else given | {"require": asdict(given["require"])}


def _as_json(values: list[Json | None]) -> list[str | None]:
    return [None if value is None else to_json(value) for value in values]
