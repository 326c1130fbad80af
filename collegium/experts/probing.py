"""Detect an expert's capabilities: from free information, or with a few small questions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from collegium.errors import CollegiumError, ExpertRejected, ModelGone
from collegium.experts.clients.events import Json
from collegium.experts.clients.http import HttpExpert
from collegium.experts.clients.reply import Answer, Call
from collegium.experts.dispatch.terms import Terms
from collegium.experts.pool import Pool
from collegium.experts.trials import ENDPOINTS, Trial, reasoned, trials
from collegium.registry.capabilities import BY_HAND, found, takes
from collegium.registry.expert import RUN_HERE, Expert

PROBE = Terms(probe=True)
HELLO: list[Json] = [{"role": "user", "content": "Say hello."}]
ROOM, ROOM_TO_THINK = 256, 1024
"""Tokens for an answer, and for one of a model that thinks before it."""
DEAREST_USD = 0.005
"""The maximum cost of one question's answer, as far as the expert's price is known."""
LEAST_ROOM = 64
LENGTHS = ("max_tokens", "max_completion_tokens")
SAYS_NO = (400, 403, 404, 405, 415, 422, 501)
"""Statuses by which an endpoint says that it does not take a request of this kind."""
EACH_S = 60.0


@dataclass
class Spent:
    """What a probe has used."""

    expert: Expert
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def add(self, answer: Answer) -> None:
        """Count one answer, as its upstream counted it."""
        if answer.usage is not None:
            self.prompt_tokens += answer.usage.prompt_tokens
            self.completion_tokens += answer.usage.completion_tokens

    @property
    def usd(self) -> float | None:
        """Dollars; None if a price is unknown."""
        prices = self.expert.input_price, self.expert.output_price
        if prices[0] is None or prices[1] is None:
            return None
        return (self.prompt_tokens * prices[0] + self.completion_tokens * prices[1]) / 1e6


@dataclass
class Probed:
    """The result of a probe."""

    spent: Spent
    text: str = ""
    latency_ms: float = 0.0
    length: str = LENGTHS[0]
    """The name by which it takes the limit of an answer's length."""
    found: dict[str, Any] = field(default_factory=dict)

    def of(self, expert: Expert) -> dict[str, Any]:
        """The expert's capabilities with the results; stated values take precedence."""
        return found(expert.capabilities, self.found)


async def hello(pool: Pool, expert: Expert) -> Probed:
    """Ask an expert to say hello; raises as the pool does, after both names of the length."""
    probed = Probed(Spent(expert))
    thinks = takes(expert, "reasoning")
    for length, room in ((LENGTHS[0], ROOM_TO_THINK if thinks else ROOM), (LENGTHS[1], 1024)):
        started = time.perf_counter()
        try:
            async with pool.ask(Call(expert, {"messages": HELLO, length: room}), PROBE) as reply:
                answer = await reply.whole()
        except ExpertRejected:
            if length == LENGTHS[1]:
                raise
            continue
        probed.text, probed.length = answer.text, length
        probed.latency_ms = 1000 * (time.perf_counter() - started)
        probed.spent.add(answer)
        probed.found |= {"chat": True, **{k: v for k, v in reasoned(answer).items() if v}}
        break
    return probed


async def examine(pool: Pool, expert: Expert, probed: Probed) -> None:
    """Send questions about all unknown capabilities at once; engines run here have none.

    The questions bypass the queue, because their refusals say nothing about the expert's health.
    """
    if expert.kind in RUN_HERE or expert.preset is not None:
        return
    known = {*expert.capabilities.get(BY_HAND, ()), *probed.found}
    open_ones = [
        trial
        for trial in trials()
        if trial.abilities[0] not in known and takes(expert, trial.abilities[0]) is None
    ]
    asked = [_tried(pool, expert, trial, probed) for trial in open_ones]
    served = serving(pool, expert) if expert.kind == "openai" else _nothing()
    *answers, endpoints = await asyncio.gather(*asked, served)
    for told in (*answers, endpoints):
        probed.found |= {k: v for k, v in told.items() if v is not None and k not in known}


async def serving(
    pool: Pool, expert: Expert, names: Sequence[str] = tuple(ENDPOINTS)
) -> dict[str, bool | None]:
    """Detect which endpoints an address serves for its model, with minimal requests."""
    from collegium.experts.clients.api_keys import api_key

    key = api_key(expert, pool.key_variables)
    client = HttpExpert(expert.name, expert.base_url or "", expert.model, api_key=key)
    try:
        answers = await asyncio.gather(*(_serves(client, expert, name) for name in names))
    finally:
        await client.aclose()
    return dict(zip(names, answers, strict=True))


async def _serves(client: HttpExpert, expert: Expert, name: str) -> bool | None:
    path, body, is_answer = ENDPOINTS[name]
    with suppress(CollegiumError, TimeoutError):
        async with asyncio.timeout(EACH_S):
            status, told = await client.posted(path, {**body, "model": expert.model})
        if status in SAYS_NO:
            return False
        return True if status < 300 and is_answer(told) else None
    return None


async def _tried(pool: Pool, expert: Expert, trial: Trial, probed: Probed) -> Mapping[str, Any]:
    body = {"messages": trial.messages, probed.length: _room(expert, probed), **trial.fields}
    try:
        async with asyncio.timeout(EACH_S), pool.client(expert).ask(Call(expert, body)) as reply:
            await reply.begin(expert.name)
            answer = await reply.whole()
    except (ExpertRejected, ModelGone) as exc:  # it said hello: 404 is of what was asked for
        no = isinstance(exc, ModelGone) or exc.http_status in SAYS_NO
        return {trial.abilities[0]: False} if no else {}
    except (CollegiumError, TimeoutError):
        return {}
    probed.spent.add(answer)
    return trial.read(answer)


def _room(expert: Expert, probed: Probed) -> int:
    """The tokens that an answer may have: enough to think, but for cents at most."""
    known = probed.found.get("reasoning") or takes(expert, "reasoning")
    thinks = known or probed.length == LENGTHS[1]
    room = ROOM_TO_THINK if thinks else ROOM
    if not expert.output_price:
        return room
    return max(LEAST_ROOM, min(room, int(DEAREST_USD * 1e6 / expert.output_price)))


async def _nothing() -> dict[str, bool | None]:
    return {}
