"""What answers take, counted call by call, and settled once on every way out."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass

from collegium.errors import BudgetSpent, CollegiumError
from collegium.experts.aggregation.events import Chosen, Dropped, Event, PanelEvent, Replied
from collegium.experts.clients.counting import prompt_tokens
from collegium.experts.clients.events import Json, Usage
from collegium.experts.clients.reply import Call, Reply
from collegium.experts.dispatch.attempts import Attempts
from collegium.experts.dispatch.terms import Terms
from collegium.experts.pool import Pool
from collegium.experts.presets import with_preset
from collegium.registry.decisions import OutcomeRecord
from collegium.registry.expert import Expert
from collegium.registry.tables import to_columns
from collegium.router.costs import Speeds, price_usd, total_usd
from collegium.router.pacing import Pacing
from collegium.router.tokens import Tokens
from collegium.web.serving.background import Background
from collegium.web.serving.call_record import CallRecord, Status, count
from collegium.web.serving.decide import Decided
from collegium.web.serving.learning import Learning
from collegium.web.serving.metrics import Metrics
from collegium.web.serving.recording import Exchange, Recorder
from collegium.web.watching.upstream_models import UpstreamModels

OF_ONE = ("decision_id", "finished_at", "calls")
OF_PANEL = (*OF_ONE, "expert", "tried")
"""Fields of the record that the API does not show."""

KEPT = ("index", "message", "finish_reason")
"""Fields of a choice that are worth their room in the log."""


@dataclass(frozen=True)
class Settled:
    """The answer is accounted for: the last event of every answer that came to its end."""

    outcome: Outcome


class Outcome:
    """One answer: its calls, who was chosen, and what it took as a whole."""

    def __init__(self, accounts: Accounts, decided: Decided) -> None:
        self.decided = decided
        self.calls: list[CallRecord] = []
        self.chosen: Chosen | None = None
        self.texts: dict[int, str] = {}
        self.dropped: dict[int, str] = {}
        self.shown: Json = {}
        """What the API tells of it, once it is settled."""
        self.attempts: Attempts | None = None
        """Of the latest call."""
        self.fold = accounts.recorder.fold()
        """Of an answer that will be kept."""
        self._accounts = accounts
        self._by_panel = decided.by_panel
        self._started = time.perf_counter()
        self._first_ms: float | None = None
        self._upstream: Usage | None = None

    @asynccontextmanager
    async def ask(self, call: Call) -> AsyncGenerator[Reply]:
        """Ask the pool, if the budget allows it, and count what the call takes."""
        self._require_budget(call)
        accounts, record = self._accounts, CallRecord(call.seat, call.role, call.expert.name)
        self.calls.append(record)
        self.attempts = attempts = Attempts(accounts.pool, call, self._terms())
        started, reply = time.perf_counter(), None
        with accounts.speeds.in_flight.answering(call.expert) as load:
            try:
                async with attempts as reply:
                    yield reply
                record.status = "ok"
            except CollegiumError as exc:
                record.status, record.error = "error", exc.public
                raise
            finally:
                record.expert = attempts.expert.name
                record.latency_ms = 1000 * (time.perf_counter() - started)
                if reply is not None:
                    accounts.upstreams.saw(attempts.expert, reply.began.model)
                    if reply.first_at is not None:
                        record.ttft_ms = 1000 * (reply.first_at - started)
                self._upstream = None if reply is None else reply.usage
                count(record, call, reply, asked=attempts.waits.queued_s is not None)
                accounts.called(record, attempts, load)
                if call.role == "member":  # a judge's word says nothing of an answer's length
                    accounts.wrote(record, attempts.expert, self.decided)

    def saw(self, event: Event) -> None:
        """Note who is chosen and what was said on a panel's way to its answer."""
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
        """The name under which the answer is given: a panel's own, whoever speaks for it."""
        if self._by_panel or not self.calls:
            return self.decided.decision.expert
        return self.calls[0].expert

    @property
    def usage(self) -> Json | None:
        """Tokens in OpenAI's shape: as the upstream told them, or the sum of a panel's calls."""
        if not self._by_panel:
            return None if self._upstream is None else self._upstream.fields
        prompt, completion = self._tokens()
        total = prompt + completion
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}

    def rows(self) -> list[Json]:
        """All calls, by seat."""
        return [asdict(call) for call in sorted(self.calls, key=lambda call: call.seat)]

    def exchange(self, status: Status) -> Exchange | None:
        """What was asked and answered, where that is kept; a panel's answer with its members'."""
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
        """The record of what came of the decision."""
        prompt, completion = self._tokens()
        energy = [call.energy_j for call in self.calls if call.energy_j is not None]
        record = OutcomeRecord(
            decision_id=self.decided.decision.id,
            status=status,
            error=error,
            prompt_tokens=prompt,
            completion_tokens=completion,
            cost_usd=total_usd(call.cost_usd for call in self.calls),
            latency_ms=self._elapsed_ms(),
            ttft_ms=self._ttft_ms(),
            energy_j=sum(energy) if len(energy) == len(self.calls) else None,
            **(self._of_panel() if self._by_panel else self._of_one()),
        )
        self.shown = _shown(record, OF_PANEL if self._by_panel else OF_ONE)
        if self._by_panel:
            self.shown["calls_latency_ms"] = sum(call.latency_ms for call in self.calls)
        return record

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

    def _tokens(self) -> tuple[int, int]:
        prompt = sum(call.prompt_tokens for call in self.calls)
        return prompt, sum(call.completion_tokens for call in self.calls)

    def _elapsed_ms(self) -> float:
        return 1000 * (time.perf_counter() - self._started)

    def _require_budget(self, call: Call) -> None:
        """What a panel has spent and this prompt's price have to stay within the limit."""
        most = self.decided.request.query.limits.max_cost_usd
        if most is None or not self._by_panel:
            return
        spent = total_usd(call.cost_usd for call in self.calls)
        further = price_usd(call.expert, prompt_tokens(with_preset(call).body), 0)
        total = total_usd((spent, further))
        if total is None or total > most:
            told = "an unknown amount is" if spent is None else f"{spent:.6f} are"
            raise BudgetSpent(
                f"max_cost_usd {most:g} leaves no further call to "
                f"'{call.expert.name}': {told} spent",
                "routing.max_cost_usd",
            )


class Accounts:
    """Where outcomes go: the log, the metrics, forecasts of speed and length, online learning."""

    def __init__(
        self,
        pool: Pool,
        recorder: Recorder,
        metrics: Metrics,
        speeds: Speeds,
        tokens: Tokens,
        pacing: Pacing,
        learning: Learning,
        background: Background,
        upstreams: UpstreamModels,
    ) -> None:
        self.pool = pool
        self.upstreams = upstreams
        self.recorder = recorder
        self.speeds = speeds
        self._tokens = tokens
        self._pacing = pacing
        self._metrics = metrics
        self._learning = learning
        self._background = background

    @contextmanager
    def outcome(self, decided: Decided) -> Iterator[Outcome]:
        """Account for one answer, however it ends. A budget is reserved and settled here."""
        outcome = Outcome(self, decided)
        application = _application(decided)
        forecast = decided.decision.forecast.cost_usd or 0.0
        self._pacing.reserve(application, forecast)
        status: Status = "cancelled"
        error: str | None = None
        code: str | None = None
        try:
            yield outcome
            status = "ok"
        except CollegiumError as exc:
            status, error, code = "error", exc.public, exc.code
            raise
        except Exception as exc:
            status, error = "error", type(exc).__name__
            code = error
            raise
        finally:
            spent = sum(call.cost_usd or 0.0 for call in outcome.calls)
            self._pacing.settle(application, forecast, spent)
            self._settle(outcome, status, error, code)

    def called(self, record: CallRecord, attempts: Attempts, load: int) -> None:
        """Account for one call, which met so many others at its place."""
        expert, loaded_ms = attempts.expert, 1000 * attempts.waits.loaded_s
        own_ms = record.latency_ms - loaded_ms  # its own time, whoever was loaded before it
        used = record.prompt_tokens, record.completion_tokens
        record.cost_usd = price_usd(expert, *used)
        record.energy_j = self.speeds.energy_j(expert, own_ms)
        self._metrics.called(expert.name, used, record.cost_usd)
        if record.status == "ok" and not record.estimated:
            self.speeds.learn(
                expert.name,
                own_ms,
                used[1],
                prompt_tokens=used[0],
                ttft_ms=None if record.ttft_ms is None else record.ttft_ms - loaded_ms,
                load=load,
            )

    def wrote(self, record: CallRecord, expert: Expert, decided: Decided) -> None:
        """Learn how long an answer was."""
        if record.status == "ok" and not record.estimated:
            query = decided.request.query
            each = -(-record.completion_tokens // query.choices)
            allowed = self._tokens.allowed(expert, query)
            cut = allowed is not None and each >= allowed
            self._tokens.learn(record.expert, _application(decided), each, cut=cut)
            if query.prompt_tokens and not decided.by_panel:  # members also read each other
                self._tokens.read(expert, query.prompt_tokens, record.prompt_tokens)

    def _settle(
        self, outcome: Outcome, status: Status, error: str | None, code: str | None
    ) -> None:
        """Write the record in the background, and count."""
        record = outcome.settle(status, error)
        self._background.spawn(self.recorder.outcome(record, code, outcome.exchange(status)))
        name, chosen = outcome.answered_by, outcome.decided.decision
        if name != chosen.expert:
            self._learning.forget(chosen.id)
        self._metrics.answered(name, status, record.latency_ms or 0.0, record.ttft_ms)


def _application(decided: Decided) -> str | None:
    return decided.decision.application or decided.request.query.application


def _shown(record: OutcomeRecord, hidden: tuple[str, ...]) -> Json:
    return {name: value for name, value in to_columns(record).items() if name not in hidden}
