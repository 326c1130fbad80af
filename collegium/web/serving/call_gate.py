"""Checks on each attempt of a call: the request's own cost limit, and the budgets."""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec.structs import replace

from collegium.errors import BudgetSpent, ExpertError, PromptTooLong
from collegium.experts.clients.counting import prompt_tokens
from collegium.experts.clients.events import Began
from collegium.experts.clients.reply import Call
from collegium.experts.dispatch.attempts import Gate
from collegium.experts.dispatch.terms import Lost
from collegium.experts.presets import with_preset
from collegium.experts.pricing import total_usd
from collegium.registry.budgets.ledger import Amounts
from collegium.registry.budgets.limits import MILLI, NANO
from collegium.registry.expert import Expert
from collegium.router.costs import DEFAULT_MS_PER_TOKEN, price_usd
from collegium.router.decision import Forecast
from collegium.web.serving.call_bounds import most_written
from collegium.web.serving.call_record import NOTICED_S, CallRecord
from collegium.web.serving.decide import Decided
from collegium.web.serving.hold import NOTHING


class CallGate(Gate):
    """The gate of one call; `calls` are all of the answer so far, its own record included later."""

    def __init__(
        self, decided: Decided, calls: Sequence[CallRecord], seat: int, *, words: bool = True
    ) -> None:
        """`words`: whether the log may hold what upstreams say, for they quote prompts."""
        self._words = words
        self._decided = decided
        self._calls = calls
        hold = decided.hold
        self._admission = None if hold is None else hold.admission(seat)
        self._tier = decided.request.query.service_tier

    def require(self, call: Call) -> None:
        """Refuse the call if what a panel has spent and this prompt's cost exceed the limit."""
        most = self._decided.request.query.limits.max_cost_usd
        if most is None or not self._decided.by_panel:
            return
        spent = total_usd(record.cost_usd for record in self._calls)
        read = prompt_tokens(with_preset(call).body, model=call.expert.model)
        further = price_usd(call.expert, read, 0, tier=self._tier)
        total = total_usd((spent, further))
        if total is None or total > most:
            told = "an unknown amount is" if spent is None else f"{spent:.6f} are"
            raise BudgetSpent(
                f"max_cost_usd {most:g} does not pay for another call to "
                f"'{call.expert.name}': {told} spent",
                "routing.max_cost_usd",
            )

    def affords(self, expert: Expert, lost: Sequence[Lost]) -> bool:
        """Whether the limit pays for one more attempt beside those that became nothing."""
        most = self._decided.request.query.limits.max_cost_usd
        if most is None or not lost:
            return True
        forecasts = {f.expert: f.cost_usd for f in self._decided.decision.forecasts}
        spent = (record.cost_usd for record in self._calls)
        gone = (_usd(each, self._tier) for each in lost)
        total = total_usd((*spent, *gone, forecasts.get(expert.name)))
        return total is not None and total <= most

    async def admit(self, call: Call, lost: Sequence[Lost]) -> Call:
        """Reserve what the attempt may take, and limit its answer to that."""
        if self._admission is None:
            return call
        spent = sum((_amounts(each, self._tier) for each in lost), NOTHING)
        return await self._admission.admit(call, spent)

    def unheard(self, call: Call) -> int:
        """Return the output that a provider bills of an answer that is left before it begins: all
        of a whole answer, and what it writes of a stream until it notices.

        Under a budget, which must not be exceeded, all is what the answer may have at most; without
        one, what is forecast of a whole answer. Engines that run here stop at once.
        """
        if call.expert.engine is not None:
            return 0
        most = most_written(call)
        if self._admission is not None:
            return min(most, self._until_noticed(call.expert)) if call.stream else most
        usual = 0 if call.stream else self._usual(call.expert)
        return min(most, usual) if most else usual

    def most(self, call: Call) -> int | None:
        """Tokens of all choices together, by the call's `max_tokens`."""
        return most_written(call) or None

    def _until_noticed(self, expert: Expert) -> int:
        """Tokens that the expert writes until it notices that its stream was left."""
        forecast = self._forecast(expert)
        pace = 1 / DEFAULT_MS_PER_TOKEN
        if forecast is not None and forecast.latency_ms:
            pace = max(pace, forecast.output_tokens / forecast.latency_ms)
        return math.ceil(1000 * NOTICED_S * pace)

    def _usual(self, expert: Expert) -> int:
        """Tokens that an answer of the expert is forecast to have."""
        forecast = self._forecast(expert)
        return 0 if forecast is None else math.ceil(forecast.output_tokens)

    def _forecast(self, expert: Expert) -> Forecast | None:
        forecasts = self._decided.decision.forecasts
        return next((each for each in forecasts if each.expert == expert.name), None)

    def failed(self, expert: Expert) -> None:
        """Report a failed attempt; its loss is accounted for with the next one."""
        if self._admission is not None:
            self._admission.failed(expert)

    def logged(self, error: ExpertError | PromptTooLong) -> str:
        """Upstreams' words, or the kind and the status where no texts are kept as they are."""
        return error.whole if self._words else error.bare

    def adjusted(self, began: Began) -> Began:
        """Return the beginning of the answer, with the adjustments made to its attempt."""
        told = None if self._admission is None else self._admission.adjusted.get(began.expert)
        return began if told is None else replace(began, adjusted=(*began.adjusted, told))

    def ended(self, record: CallRecord) -> None:
        """Settle the usage of all attempts of the call; what is unknown stays reserved."""
        if self._admission is None or record.cost_usd is None:
            return
        tokens = record.prompt_tokens + record.completion_tokens
        joules = round(MILLI * (record.energy_j or 0.0))
        self._admission.ended(Amounts(round(NANO * record.cost_usd), tokens, joules, requests=0))


def _usd(lost: Lost, tier: str | None) -> float | None:
    return price_usd(lost.expert, lost.prompt_tokens, lost.completion_tokens, tier=tier)


def _amounts(lost: Lost, tier: str | None) -> Amounts:
    tokens = lost.prompt_tokens + lost.completion_tokens
    return Amounts(round(NANO * (_usd(lost, tier) or 0.0)), tokens, requests=0)
