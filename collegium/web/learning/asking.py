"""Ask one expert one prompt of a learning run, and what that cost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

from collegium.errors import CollegiumError
from collegium.experts.clients.counting import estimated_tokens, prompt_tokens
from collegium.experts.clients.reply import Call
from collegium.experts.dispatch.terms import Terms
from collegium.experts.presets import with_preset
from collegium.registry.expert import Expert
from collegium.registry.learning import LearningAnswer, LearningPrompt
from collegium.router.costs import price_usd
from collegium.router.forecasting import fingerprint
from collegium.web.batch.asking import may_pass
from collegium.web.serving.parts import Parts

TERMS = Terms(caller="learning", priority="background")
"""People who wait for their answers go first."""
TRIES = 4
LONGEST_WAIT_S = 20.0


async def asked(parts: Parts, prompt: LearningPrompt, expert: Expert) -> LearningAnswer:
    """Ask once, and again after a failure that may pass; a refusal is kept as such.

    Only the next step of an agent is asked for: tools that the answer calls are never run.
    """
    for attempt in range(1, TRIES + 1):
        try:
            return await _once(parts, prompt, expert)
        except CollegiumError as exc:
            if attempt == TRIES or not may_pass(exc):
                return _refused(prompt, expert, exc)
            await asyncio.sleep(min((exc.retry_after_s or 1) * attempt, LONGEST_WAIT_S))
    raise AssertionError("unreachable")


async def _once(parts: Parts, prompt: LearningPrompt, expert: Expert) -> LearningAnswer:
    call, started = Call(expert, prompt.request), time.perf_counter()
    async with parts.pool.ask(call, TERMS) as reply:
        answer = await reply.whole()
        waited_ms = reply.waits.total_ms or 0.0
    message = dict(answer.choices[0]["message"])
    read, written = _used(call, message, answer.usage)
    cost = price_usd(expert, read, written)
    parts.metrics.called(expert.name, (read, written), cost)
    return LearningAnswer(
        prompt.run_id,
        prompt.number,
        expert.name,
        fingerprint(expert),
        message,
        prompt_tokens=read,
        completion_tokens=written,
        cost_usd=cost,
        latency_ms=1000 * (time.perf_counter() - started) - waited_ms,
    )


def _used(call: Call, message: Mapping[str, Any], usage: Any) -> tuple[int, int]:
    """Tokens as the upstream told them, else about."""
    if usage is not None and usage.prompt_tokens:
        return usage.prompt_tokens, usage.completion_tokens
    read = prompt_tokens(with_preset(call).body)
    return read, estimated_tokens(str(message.get("content") or ""))


def _refused(prompt: LearningPrompt, expert: Expert, exc: CollegiumError) -> LearningAnswer:
    return LearningAnswer(
        prompt.run_id, prompt.number, expert.name, fingerprint(expert), None, error=str(exc)
    )


class JudgeCalls:
    """Asks a judge, and counts what that costs."""

    def __init__(self, parts: Parts, judge: Expert) -> None:
        self._parts = parts
        self._judge = judge
        self.spent_usd = 0.0

    async def __call__(self, messages: Sequence[dict[str, Any]]) -> str:
        """The judge's words; CollegiumError where it can't be asked."""
        call = Call(self._judge, {"messages": list(messages), "temperature": 0}, role="judge")
        async with self._parts.pool.ask(call, TERMS) as reply:
            answer = await reply.whole()
        read, written = _used(call, answer.choices[0]["message"], answer.usage)
        cost = price_usd(self._judge, read, written)
        self._parts.metrics.called(self._judge.name, (read, written), cost)
        self.spent_usd += cost or 0.0
        return answer.text
