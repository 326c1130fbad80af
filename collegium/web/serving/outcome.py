"""The usage of answers, counted call by call and settled exactly once."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Protocol

from collegium.errors import CollegiumError, ContentRefused, ExpertError, PromptTooLong
from collegium.experts.aggregation.events import Chosen, Dropped, Event, PanelEvent, Replied
from collegium.experts.clients.events import Began, Json, Usage
from collegium.experts.clients.reply import Call, Reply
from collegium.experts.clients.tokenizing import Tokenizers
from collegium.experts.clients.usage import Tokens
from collegium.experts.dispatch.attempts import Attempts
from collegium.experts.dispatch.terms import Terms
from collegium.experts.pool import Pool
from collegium.experts.presets import TIER, tier_of
from collegium.experts.pricing import total_usd
from collegium.experts.tracing import CURRENT, Span
from collegium.registry.decisions.log import OutcomeRecord
from collegium.registry.expert import Expert
from collegium.registry.tables import to_columns
from collegium.router.costs import Speeds
from collegium.web.serving.call_gate import CallGate
from collegium.web.serving.call_record import CallRecord, Status, count
from collegium.web.serving.decide import Decided
from collegium.web.serving.recording import Exchange, Recorder
from collegium.web.watching.upstream_models import UpstreamModels

log = logging.getLogger(__name__)
OF_ONE = ("decision_id", "finished_at", "calls", "attempts")
OF_PANEL = (*OF_ONE, "expert", "tried")
"""Fields of the record that the API does not show."""

SPANS = {
    "member": "panel member",
    "aggregator": "aggregate",
    "judge": "judge",
    "verifier": "verify",
}
"""Names of spans by the role of a panel's call."""
KEPT = ("index", "message", "finish_reason")
"""Fields of a choice that are worth their room in the log."""


class Books(Protocol):
    """The interface of the accounts that an outcome needs."""

    pool: Pool
    upstreams: UpstreamModels
    recorder: Recorder
    speeds: Speeds
    tokenizers: Tokenizers

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

    def failed(self, record: CallRecord, attempts: Attempts, caller: str, tier: str | None) -> None:
        """Account for the attempts that came to nothing on the way of a caller's call, which asked
        for this service tier.
        """

    def wrote(
        self, record: CallRecord, expert: Expert, decided: Decided, *, most: int | None
    ) -> None:
        """Learn how long an answer was; `most` tokens in all choices together were allowed."""


@dataclass(frozen=True)
class Settled:
    """The answer is accounted for: the last event of every answer that came to its end."""

    outcome: Outcome


class Outcome:
    """One answer: its calls, the chosen expert, and the total usage."""

    def __init__(self, accounts: Books, decided: Decided) -> None:
        self.decided = decided
        self.calls: list[CallRecord] = []
        self.chosen: Chosen | None = None
        self.texts: dict[int, str] = {}
        self.dropped: dict[int, str] = {}
        self.left_out: set[str] = set()
        """Parameters of the request that an expert does not take and did not get."""
        self.shown: Json = {}
        """The fields of the API's response, once settled."""
        self.attempts: Attempts | None = None
        """The attempts of the latest call."""
        self.fold = accounts.recorder.fold() if decided.request.is_conversation else None
        """Assembles an answer that will be recorded."""
        self.span = CURRENT.get()
        self._accounts = accounts
        self._by_panel = decided.by_panel
        self._started = time.perf_counter()
        self._first_ms: float | None = None
        self._adjusted: dict[str, None] = {}
        self._upstream: Usage | None = None

    @asynccontextmanager
    async def ask(self, call: Call) -> AsyncGenerator[Reply]:
        """Ask the pool, if the budget allows it, and count what the call takes."""
        call = self._with_headers(call)
        words = self._accounts.recorder.keeps_words
        gate = CallGate(self.decided, self.calls, call.seat, words=words)
        gate.require(call)
        accounts, record = self._accounts, CallRecord(call.seat, call.role, call.expert.name)
        self.calls.append(record)
        started, reply = time.perf_counter(), None
        with (
            self._seat(call) as span,
            accounts.speeds.in_flight.answering(call.expert) as load,
        ):
            attempts = Attempts(accounts.pool, call, self._terms(), gate, span)
            self.attempts = attempts
            try:
                async with attempts as reply:
                    reply.began = self.decided.request.told(gate.adjusted(reply.began))
                    yield reply
                record.status = "ok"
            except CollegiumError as exc:
                record.status, record.error = "error", exc.public
                if reply is not None:  # what fails before is logged by the attempts
                    _log_broken_off(exc, gate)
                raise
            finally:
                record.expert = attempts.expert.name
                record.latency_ms = 1000 * (time.perf_counter() - started)
                if reply is not None:
                    self._adjusted |= dict.fromkeys(reply.began.adjusted)
                    self.left_out |= set(reply.began.dropped)
                    accounts.upstreams.saw(attempts.expert, reply.began.model)
                    if reply.first_at is not None:
                        record.ttft_ms = 1000 * (reply.first_at - started)
                self._upstream = None if reply is None else reply.usage
                tokens = count(
                    record,
                    call,
                    reply,
                    expert=attempts.expert,
                    asked=attempts.waits.queued_s is not None,
                    tokenizers=accounts.tokenizers,
                    unheard=attempts.unheard.get(attempts.expert.name, 0),
                    most=attempts.most.get(attempts.expert.name),
                )
                request = self.decided.request
                asked = request.query.service_tier
                tier = tier_of(attempts.expert, asked)
                if reply is not None:
                    tier = reply.began.head.get(TIER)
                accounts.called(record, tokens, attempts, load, service_tier=tier)
                accounts.failed(record, attempts, request.terms.caller, asked)
                gate.ended(record)
                if call.role == "member":  # a judge's word says nothing of an answer's length
                    most = attempts.most.get(attempts.expert.name)
                    accounts.wrote(record, attempts.expert, self.decided, most=most)

    def replayed(self, event: Event) -> None:
        """Record a cached answer's dropped parameters and tokens."""
        if isinstance(event, Began):
            self.left_out |= set(event.dropped)
            self._adjusted |= dict.fromkeys(event.adjusted)
        elif isinstance(event, Usage):
            self._upstream = event

    def saw(self, event: Event) -> None:
        """Record the events of a panel, and the chosen member."""
        if not isinstance(event, PanelEvent):
            if self._first_ms is None:
                self._first_ms = self._elapsed_ms()
        elif isinstance(event, Chosen):
            self.chosen = event
        elif isinstance(event, Replied):
            self.texts[event.seat] = event.text
        elif isinstance(event, Dropped):
            self.dropped[event.seat] = event.reason

    @property
    def answered_by(self) -> str:
        """The name under which the answer is given: for a panel, the panel's."""
        if self._by_panel or not self.calls:
            return self.decided.decision.expert
        return self.calls[0].expert

    @property
    def usage(self) -> Json | None:
        """Usage in OpenAI's format: as the upstream reported it, or the sum of a panel's calls."""
        if self._by_panel:
            return self.counted.usage()
        return None if self._upstream is None else self._upstream.fields

    @property
    def counted(self) -> Tokens:
        """All tokens that were paid for, including those that no upstream reported."""
        calls = self.calls
        return Tokens(
            sum(call.prompt_tokens for call in calls),
            sum(call.completion_tokens for call in calls),
            sum(call.cached_tokens for call in calls),
            sum(call.cache_write_tokens for call in calls),
            reasoning=sum(call.reasoning_tokens for call in calls),
        )

    @property
    def spent_usd(self) -> float | None:
        """Dollars for all calls so far; None if a price is unknown."""
        return total_usd(call.cost_usd for call in self.calls)

    def rows(self) -> list[Json]:
        """All calls, by seat; their failed attempts are the outcome's."""
        calls = [asdict(call) for call in sorted(self.calls, key=lambda call: call.seat)]
        return [{n: value for n, value in call.items() if n != "attempts"} for call in calls]

    def exchange(self, status: Status) -> Exchange | None:
        """The request and its answer if they are recorded; for a panel, with its members'
        answers.
        """
        if self.fold is None:
            return None
        if status != "ok":
            return Exchange(self.decided, None)
        answer: Json = {
            "model": self.answered_by,
            "choices": [{k: each[k] for k in KEPT} for each in self.fold.answer().choices],
            "usage": self.usage,
        }
        experts = {call.seat: call.expert for call in self.calls}
        if self.texts:
            answer["members"] = [
                {"seat": seat, "expert": experts.get(seat), "text": text}
                for seat, text in sorted(self.texts.items())
            ]
        return Exchange(self.decided, answer)

    def settle(self, status: Status, error: str | None) -> OutcomeRecord:
        """Return the record of the outcome."""
        tokens = self.counted
        energy = [call.energy_j for call in self.calls if call.energy_j is not None]
        record = OutcomeRecord(
            decision_id=self.decided.decision.id,
            status=status,
            error=error,
            prompt_tokens=tokens.input,
            completion_tokens=tokens.output,
            cached_tokens=tokens.cached,
            cache_write_tokens=tokens.cache_write,
            reasoning_tokens=tokens.reasoning,
            estimated=any(call.estimated for call in self.calls),
            cost_usd=self.spent_usd,
            attempts_usd=self._attempts_usd(),
            attempts=[each for call in self.calls for each in call.attempts] or None,
            latency_ms=self._elapsed_ms(),
            ttft_ms=self._ttft_ms(),
            energy_j=sum(energy) if len(energy) == len(self.calls) else None,
            **self._of_cache(),
            **(self._of_panel() if self._by_panel else self._of_one()),
        )
        self.shown = _shown(record, OF_PANEL if self._by_panel else OF_ONE)
        if self._adjusted:
            self.shown["adjusted"] = list(self._adjusted)
        if self.left_out:
            self.shown["dropped"] = sorted(self.left_out)
        if self._by_panel:
            self.shown["calls_latency_ms"] = sum(call.latency_ms for call in self.calls)
        return record

    def _of_cache(self) -> Json:
        lookup = self.decided.lookup
        if lookup is None or (answer := lookup.answer) is None:
            return {}
        return {"cached_from": answer.decision_id, "saved_usd": answer.cost_usd}

    def _of_panel(self) -> Json:
        return {"calls": self.rows()}

    def _of_one(self) -> Json:
        attempts = self.attempts
        return {
            "expert": self.answered_by,
            "tried": [asdict(t) for t in attempts.tried] or None if attempts else None,
            "waited_ms": attempts.waits.total_ms if attempts else None,
        }

    def _ttft_ms(self) -> float | None:
        if self._by_panel:
            return self._first_ms
        return self.calls[0].ttft_ms if self.calls else None

    def _terms(self) -> Terms:
        terms = self.decided.request.terms
        if self._by_panel:  # what a panel takes says nothing of one call
            return Terms(terms.caller, terms.priority, terms.deadline)
        expected_s = self.decided.decision.forecast.answer_ms / 1000
        return Terms(terms.caller, terms.priority, terms.deadline, expected_s, terms.hedge)

    def _attempts_usd(self) -> float | None:
        billed = [call.attempts_usd for call in self.calls if call.attempts_usd is not None]
        return total_usd(billed) if billed else None

    def _elapsed_ms(self) -> float:
        return 1000 * (time.perf_counter() - self._started)

    def _seat(self, call: Call) -> AbstractContextManager[Span]:
        """Return the span of one call of a panel; a single call has only its attempts' spans."""
        if not self._by_panel:
            return nullcontext(self.span)
        return self.span.child(SPANS[call.role], call)

    def _with_headers(self, call: Call) -> Call:
        """Return the call with the headers that upstreams receive."""
        headers = self.decided.request.headers
        return replace(call, headers=headers) if headers else call


def _log_broken_off(error: CollegiumError, gate: CallGate) -> None:
    """Log that an expert failed in the middle of its answer, which nobody else gives then."""
    if isinstance(error, ExpertError | PromptTooLong) and not isinstance(error, ContentRefused):
        log.warning("%s; its answer had begun", gate.logged(error))


def _shown(record: OutcomeRecord, hidden: tuple[str, ...]) -> Json:
    return {name: value for name, value in to_columns(record).items() if name not in hidden}
