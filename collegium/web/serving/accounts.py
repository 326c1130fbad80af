"""Destinations of outcomes: the log, metrics, forecasts, online learning, and alarms."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import fsum

from collegium.errors import CapabilityMissing, CollegiumError, ModelGone
from collegium.experts.clients.tokenizing import Tokenizers
from collegium.experts.clients.usage import Tokens
from collegium.experts.dispatch.attempts import Attempts
from collegium.experts.pool import Pool
from collegium.experts.presets import tier_of
from collegium.experts.pricing import answered_usd, total_usd
from collegium.registry.background import Background
from collegium.registry.capabilities import YES_OR_NO
from collegium.registry.decisions.log import OutcomeRecord
from collegium.registry.expert import Expert
from collegium.router.costs import Speeds
from collegium.router.pacing import Pacing
from collegium.router.tokens import Tokens as Lengths
from collegium.web.serving.budgets import Budgets
from collegium.web.serving.call_record import CallRecord, Status
from collegium.web.serving.decide import Decided, application_of
from collegium.web.serving.learning import Learning
from collegium.web.serving.metrics import Metrics
from collegium.web.serving.outcome import Outcome
from collegium.web.serving.recording import Recorder
from collegium.web.watching.upstream_models import UpstreamModels


class Accounts:
    """Passes outcomes to the log, metrics, forecasts of speed and length, and online learning."""

    def __init__(
        self,
        pool: Pool,
        recorder: Recorder,
        metrics: Metrics,
        speeds: Speeds,
        tokens: Lengths,
        pacing: Pacing,
        budgets: Budgets,
        learning: Learning,
        background: Background,
        upstreams: UpstreamModels,
        tokenizers: Tokenizers | None = None,
    ) -> None:
        self.pool = pool
        self.upstreams = upstreams
        self.recorder = recorder
        self.speeds = speeds
        self.tokenizers = tokenizers or Tokenizers()
        self._lengths = tokens
        self._pacing = pacing
        self._budgets = budgets
        self._metrics = metrics
        self._learning = learning
        self._background = background

    @contextmanager
    def outcome(self, decided: Decided) -> Iterator[Outcome]:
        """Account for one answer, however it ends, and settle what it reserved of budgets."""
        outcome, hold = Outcome(self, decided), decided.hold
        forecast = decided.decision.forecast.cost_usd or 0.0
        paced = [] if hold is None else [x.id for x in hold.limits if x.metric == "usd"]
        if hold is not None:
            hold.asked = True
        for name in paced:
            self._pacing.reserve(name, forecast)
        status: Status = "cancelled"
        error: str | None = None
        code: str | None = None
        try:
            yield outcome
            status = "ok"
        except CollegiumError as exc:
            status, error, code = "error", exc.public, exc.code
            outcome.span.fail(exc)
            raise
        except Exception as exc:
            status, error = "error", type(exc).__name__
            code = error
            outcome.span.fail(exc)
            raise
        finally:
            spent = fsum(call.cost_usd or 0.0 for call in outcome.calls)
            for name in paced:
                self._pacing.settle(name, forecast, spent)
            self._settle(outcome, status, error, code)

    def called(
        self,
        record: CallRecord,
        tokens: Tokens,
        attempts: Attempts,
        load: int,
        *,
        service_tier: str | None = None,
    ) -> None:
        """Account for one call and for the load that it met."""
        expert, loaded_ms = attempts.expert, 1000 * attempts.waits.loaded_s
        own_ms = record.latency_ms - loaded_ms  # its own time, whoever was loaded before it
        record.cost_usd = answered_usd(expert, tokens, service_tier)
        record.energy_j = self.speeds.energy_j(expert, own_ms)
        self._metrics.called(expert.name, tokens, record.cost_usd, estimated=record.estimated)
        if record.status == "ok" and not record.estimated:
            self.speeds.learn(
                expert.name,
                own_ms,
                tokens.output,
                prompt_tokens=tokens.input,
                ttft_ms=None if record.ttft_ms is None else record.ttft_ms - loaded_ms,
                load=load,
            )

    def failed(self, record: CallRecord, attempts: Attempts, caller: str, tier: str | None) -> None:
        """Account for the attempts that came to nothing on the way of a caller's call, which asked
        for this service tier.
        """
        for lost in attempts.lost:
            used = Tokens(lost.prompt_tokens, lost.completion_tokens)
            self.charge(record, lost.expert, used, service_tier=tier)
        for failure in attempts.failures:
            error = failure.error
            if isinstance(error, ModelGone):
                self.upstreams.gone(failure.expert)
            elif isinstance(error, CapabilityMissing) and error.capability in YES_OR_NO:
                self.pool.learned.note_refusal(failure.expert, error.capability, caller)

    def charge(
        self,
        record: CallRecord,
        expert: Expert,
        tokens: Tokens,
        *,
        service_tier: str | None = None,
    ) -> None:
        """Add to a call what an attempt cost that came to nothing: its expert's account bears it.

        What it read and wrote is known by an estimate at best.
        """
        cost = answered_usd(expert, tokens, tier_of(expert, service_tier))
        record.add(tokens)
        record.attempts.append(
            {
                "expert": expert.name,
                "prompt_tokens": tokens.input,
                "completion_tokens": tokens.output,
                "cost_usd": cost,
            }
        )
        record.estimated = True
        record.cost_usd = total_usd((record.cost_usd, cost))
        if cost is not None:
            record.attempts_usd = total_usd((record.attempts_usd or 0.0, cost))
        self._metrics.called(expert.name, tokens, cost, estimated=True)

    def wrote(
        self, record: CallRecord, expert: Expert, decided: Decided, *, most: int | None
    ) -> None:
        """Learn how long an answer was; `most` tokens in all choices together were allowed, by the
        request, the expert's preset or a budget.
        """
        if record.status == "ok" and not record.estimated and decided.request.is_conversation:
            query = decided.request.query
            each = -(-record.completion_tokens // query.choices)
            cut = most is not None and each * query.choices >= most
            self._lengths.learn(record.expert, application_of(decided), each, cut=cut)
            if query.prompt_tokens and not decided.by_panel:  # members also read each other
                self._lengths.read(expert, query.prompt_tokens, record.prompt_tokens)

    def _settle(
        self, outcome: Outcome, status: Status, error: str | None, code: str | None
    ) -> None:
        """Write the record in the background, and count."""
        record = outcome.settle(status, error)
        self._background.spawn(self._write(record, code, outcome, status))
        outcome.span.add(record)
        name, chosen = outcome.answered_by, outcome.decided.decision
        if name != chosen.expert:
            self._learning.forget(chosen.id)
        elif self._learning.is_on:
            self._background.spawn(self._learning.keep(chosen.id))
        if not outcome.decided.from_cache:  # its latency is not the expert's
            self._metrics.answered(
                name, status, record.latency_ms or 0.0, record.ttft_ms, outcome.span.trace_id
            )
        self._metrics.spent(chosen.application, record.cost_usd)

    async def _write(
        self, record: OutcomeRecord, code: str | None, outcome: Outcome, status: Status
    ) -> None:
        """First the log, then the counters: after a crash in between they follow the log."""
        try:
            await self.recorder.outcome(record, code, outcome.exchange(status))
        finally:
            if (hold := outcome.decided.hold) is not None:
                await self._budgets.settle(hold, record)
