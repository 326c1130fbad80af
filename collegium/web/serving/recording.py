"""What is kept of requests: none of their texts, their queries, or all; each redacted first."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from collegium.errors import UnknownDecision
from collegium.experts.clients.events import Json
from collegium.experts.clients.reply import Fold
from collegium.registry.connections import to_json
from collegium.registry.decisions import (
    DecisionLog,
    DecisionRecord,
    ExchangeRecord,
    OutcomeRecord,
)
from collegium.router.decision import Limits
from collegium.web.serving.decide import Decided

if TYPE_CHECKING:
    from collegium.web.serving.redaction import Redactor

log = logging.getLogger(__name__)
Mode = Literal["off", "prompts", "full"]
NO_LIMITS = vars(Limits())
LONG = 10_000
"""Tokens of a prompt from which it is written as JSON beside the event loop."""


@dataclass(frozen=True)
class Exchange:
    """A request and its answer; None where there is no complete one."""

    decided: Decided
    answer: Json | None


@dataclass(frozen=True)
class Recorder:
    """Writes decisions, outcomes and exchanges as the settings want them kept."""

    log: DecisionLog
    mode: Mode = "prompts"
    redactor: Redactor | None = None

    @property
    def texts(self) -> bool:
        """Whether any text is kept."""
        return self.mode != "off"

    def fold(self) -> Fold | None:
        """What puts an answer together that will be kept; None where it won't be."""
        return Fold() if self.mode == "full" else None

    async def text(self, text: str) -> str | None:
        """A text as it may be kept; None where it may not."""
        if not self.texts:
            return None
        return text if self.redactor is None else await self.redactor.text(text)

    async def decision(self, decided: Decided) -> None:
        """Write a decision; when this returns, it outlives a crash."""
        prompt = await self.text(decided.request.query.text)
        await self.log.record(_decision(decided, prompt))

    async def outcome(
        self, record: OutcomeRecord, code: str | None, exchange: Exchange | None
    ) -> None:
        """Write what came of a decision, and the exchange in the same commit. Nobody waits.

        `code` is the error's, which may be kept where its words may not: upstreams quote prompts.
        """
        if self.texts and self.redactor is None:
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
    decision, query = decided.decision, decided.request.query
    return DecisionRecord(
        id=decision.id,
        created_at=datetime.now(UTC),
        requested_model=decision.requested_model,
        expert=decision.expert,
        policy=decision.policy,
        confidence=decision.confidence,
        reason=decision.reason,
        prompt=prompt,
        session=decided.request.session,
        forecasts=decision.forecasts,
        limits={k: v for k, v in vars(query.limits).items() if v != NO_LIMITS[k]},
        propensity=decision.propensity,
        application=decision.application,
        router=decision.router,
        owner=decided.request.owner,
    )


def _as_json(values: list[Json | None]) -> list[str | None]:
    return [None if value is None else to_json(value) for value in values]
