"""Send one prompt of a learning run to one expert, and account for its cost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

from collegium.errors import BudgetExhausted, CollegiumError
from collegium.experts.clients.counting import estimated_tokens, prompt_tokens
from collegium.experts.clients.events import Usage
from collegium.experts.clients.reply import Call
from collegium.experts.clients.usage import Tokens
from collegium.experts.dispatch.terms import Terms
from collegium.experts.presets import LENGTHS, TIER, with_preset
from collegium.experts.pricing import answered_usd
from collegium.registry.expert import Expert
from collegium.registry.learning.runs import LearningAnswer, LearningPrompt
from collegium.router.costs import price_usd
from collegium.router.forecasting import fingerprint
from collegium.router.tokens import REASONING, prior_of
from collegium.web.batch.asking import may_pass
from collegium.web.learning.costs import VERDICT_TOKENS
from collegium.web.learning.spending import Spending
from collegium.web.serving.parts import Parts

TERMS = Terms(caller="learning", priority="background")
"""People who wait for their answers go first."""
TRIES = 4
LONGEST_WAIT_S = 20.0
JUDGE = " judge"
"""The judge's key in the ledger; no expert has this name."""


async def asked(
    parts: Parts, prompt: LearningPrompt, expert: Expert, *, most_tokens: int | None = None
) -> LearningAnswer:
    """Ask once, and again after a failure that may pass; a refusal is kept as such.

    A request that sets no length gets `most_tokens`, for an answer is paid for by its length. Only
    the next step of an agent is asked for: tools that the answer calls are never run.
    """
    for attempt in range(1, TRIES + 1):
        try:
            return await _once(parts, prompt, expert, most_tokens)
        except CollegiumError as exc:
            if attempt == TRIES or not may_pass(exc):
                return _refused(prompt, expert, exc)
            await asyncio.sleep(min((exc.retry_after_s or 1) * attempt, LONGEST_WAIT_S))
    raise AssertionError("unreachable")


async def _once(
    parts: Parts, prompt: LearningPrompt, expert: Expert, most_tokens: int | None
) -> LearningAnswer:
    body = bounded(prompt.request, expert, most_tokens)
    call, started = Call(expert, body), time.perf_counter()
    async with parts.pool.ask(call, TERMS) as reply:
        answer = await reply.whole()
        waited_ms = reply.waits.total_ms or 0.0
    message = dict(answer.choices[0]["message"])
    taken = used(call, answer.usage, answer.text)
    cost = answered_usd(expert, taken, answer.head.get(TIER))
    parts.metrics.called(expert.name, taken, cost)
    parts.tokens.learn(expert.name, prompt.application, taken.output)
    return LearningAnswer(
        prompt.run_id,
        prompt.number,
        expert.name,
        fingerprint(expert),
        message,
        prompt_tokens=taken.input,
        completion_tokens=taken.output,
        cost_usd=cost,
        latency_ms=1000 * (time.perf_counter() - started) - waited_ms,
    )


def bounded(
    request: Mapping[str, Any], expert: Expert, most_tokens: int | None
) -> Mapping[str, Any]:
    """Return the request with a length limit, unless it has one."""
    if most_tokens is None or any(request.get(name) for name in LENGTHS):
        return request
    # Reasoning models of OpenAI refuse `max_tokens`, older servers the other name.
    name = LENGTHS[1] if prior_of(expert.model) is REASONING else LENGTHS[0]
    return {**request, name: most_tokens}


def used(call: Call, usage: Usage | None, text: str) -> Tokens:
    """Return the tokens that the upstream reported, or an estimate."""
    if usage is not None and usage.prompt_tokens:
        return usage.tokens
    return Tokens(prompt_tokens(with_preset(call).body), estimated_tokens(text))


def _refused(prompt: LearningPrompt, expert: Expert, exc: CollegiumError) -> LearningAnswer:
    return LearningAnswer(
        prompt.run_id, prompt.number, expert.name, fingerprint(expert), None, error=str(exc)
    )


class JudgeCalls:
    """Asks a judge, and counts what that costs."""

    def __init__(self, parts: Parts, judge: Expert, spending: Spending) -> None:
        self._parts = parts
        self._judge = judge
        self._spending = spending
        self._count = 0

    async def __call__(self, messages: Sequence[dict[str, Any]]) -> str:
        """Return the judge's answer; raise CollegiumError if it can't be asked."""
        body = bounded({"messages": list(messages), "temperature": 0}, self._judge, VERDICT_TOKENS)
        call = Call(self._judge, body, role="judge")
        self._count += 1
        cell = self._count, JUDGE
        most = price_usd(self._judge, prompt_tokens(with_preset(call).body), VERDICT_TOKENS)
        if not await self._spending.reserve(cell, JUDGE, most or 0.0):
            raise BudgetExhausted("the run's budget is spent, so the judge can't be asked")
        cost = None
        try:
            text, cost = await self._verdict(call)
        finally:
            self._spending.settle(cell, cost)
        return text

    async def _verdict(self, call: Call) -> tuple[str, float | None]:
        async with self._parts.pool.ask(call, TERMS) as reply:
            answer = await reply.whole()
        taken = used(call, answer.usage, answer.text)
        cost = answered_usd(self._judge, taken, answer.head.get(TIER))
        self._parts.metrics.called(self._judge.name, taken, cost)
        return answer.text, cost
