"""Answer several prompts of one request: each is decided, sent and accounted for separately."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, cast

from fastapi import Request
from fastapi.responses import Response
from msgspec import structs

from collegium.errors import CollegiumError
from collegium.experts.aggregation.events import Event
from collegium.experts.clients.events import Json
from collegium.experts.clients.usage import Tokens, tokens_of
from collegium.router.costs import total_usd
from collegium.router.decision import Decision, Forecast
from collegium.web.lean_route import JsonResponse
from collegium.web.parts_of import parts_of
from collegium.web.protocols.completions import Completion
from collegium.web.protocols.protocol import Encoder, Events, whole_answer
from collegium.web.protocols.sse import data_event
from collegium.web.routes.answering import prepared, streamed, unless_client_leaves
from collegium.web.serving.decide import Decided
from collegium.web.serving.outcome import Outcome, Settled
from collegium.web.serving.pipeline import Pipeline
from collegium.web.serving.shapes import decision_headers

AT_ONCE = 8
"""Prompts of one request that are asked at once."""
CHANGES = ("adjusted", "dropped")
AHEAD = 64
"""Events that may wait until the client has read those before them."""


@dataclass(frozen=True)
class Numbered:
    """An event of one of several answers."""

    number: int
    event: Event | Settled


async def answer_all(request: Request, asked: Sequence[Completion]) -> Response:
    """Return all answers, or raise the first error: a request is answered as a whole or not."""
    pipeline = parts_of(request).pipeline
    decided = [await pipeline.decide(await prepared(request, each.chat)) for each in asked]
    if asked[0].request.stream:
        encoder = cast(Encoder, SeveralEncoder(decided, asked))
        return await streamed(request, encoder, cast(Events, _merged(pipeline, decided)))
    found = await unless_client_leaves(request, _whole(asked, decided, pipeline))
    if found is None:
        return Response(status_code=499)  # nobody reads it
    bodies, outcomes = found
    cost = total_usd(outcome.shown.get("cost_usd") for outcome in outcomes)
    shown = {"cost_usd": cost} | {name: _all(name, outcomes) for name in CHANGES}
    headers = decision_headers(decided[0].decision, bodies[0]["model"], shown)
    return JsonResponse(_together(bodies), headers=headers)


async def _merged(pipeline: Pipeline, decided: Sequence[Decided]) -> AsyncGenerator[Numbered]:
    """The events of all, once there is enough for all."""
    async with (
        pipeline.reserved(decided) as held,
        aclosing(merged([_run(pipeline, each) for each in held])) as events,
    ):
        async for event in events:
            yield event


async def _run(pipeline: Pipeline, decided: Decided) -> Events:
    """Record the decision when its turn has come, and ask."""
    decided = await pipeline.record(decided, reserve=False)
    async with aclosing(pipeline.run(decided)) as events:
        async for event in events:
            yield event


async def _whole(
    asked: Sequence[Completion], decided: Sequence[Decided], pipeline: Pipeline
) -> tuple[list[Json], list[Outcome]]:
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(completion: Completion, how: Decided) -> tuple[Json, Outcome]:
        async with turns:
            return await whole_answer(completion.whole(how), _run(pipeline, how))

    try:
        async with pipeline.reserved(decided) as held, asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(*each)) for each in zip(asked, held, strict=True)]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed
    found = [task.result() for task in tasks]
    return [body for body, _ in found], [outcome for _, outcome in found]


def _together(bodies: Sequence[Json]) -> Json:
    """Return one body with all choices, and the outcome of each prompt."""
    usage = _sum([body.get("usage") for body in bodies])
    return {
        **bodies[0],
        "model": bodies[0]["model"],
        "choices": [choice for body in bodies for choice in body["choices"]],
        **({} if usage is None else {"usage": usage}),
        "collegium": {"answers": [body["collegium"] for body in bodies]},
    }


def _all(name: str, outcomes: Sequence[Outcome]) -> list[str]:
    """Return the adjustments of all requests, without repetitions."""
    return list(dict.fromkeys(each for o in outcomes for each in o.shown.get(name, ())))


def _sum(usages: Sequence[Any]) -> Json | None:
    """Return the sum of tokens by kind; None if one is unknown."""
    if any(usage is None for usage in usages):
        return None
    counts = zip(*(structs.astuple(tokens_of(usage)) for usage in usages), strict=True)
    return Tokens(*map(sum, counts)).usage()


def _priced(decision: Decision, usd: float | None) -> tuple[Forecast, ...]:
    """The forecasts, of which the chosen one costs what all prompts are forecast to cost."""
    return tuple(
        structs.replace(each, cost_usd=usd) if each.expert == decision.expert else each
        for each in decision.forecasts
    )


class SeveralEncoder:
    """Writes the chunks of several answers as they arrive, under one id."""

    def __init__(self, decided: Sequence[Decided], asked: Sequence[Completion]) -> None:
        self._parts = [each.encoder(how) for each, how in zip(asked, decided, strict=True)]
        self._usage = asked[0].chat.wants_usage()
        self._usages: list[Any] = []
        first = decided[0].decision
        together = total_usd(each.decision.forecast.cost_usd for each in decided)
        self.decision = replace(first, forecasts=_priced(first, together))
        for part in self._parts:
            part.join(self._parts[0])

    @property
    def expert(self) -> str:
        """The expert that answers the first prompt."""
        return self._parts[0].expert

    def encode(self, numbered: Numbered) -> list[bytes]:
        """The chunks of one answer's event."""
        if isinstance(numbered.event, Settled):
            self._usages.append(numbered.event.outcome.usage)
        return self._parts[numbered.number].encode(numbered.event)

    def failed(self, error: CollegiumError) -> bytes:
        """End the stream: one answer's failure ends them all."""
        return self._parts[0].failed(error)

    def ended(self) -> bytes:
        """Return the total usage if requested, and the last line."""
        usage = _sum(self._usages) if self._usage else None
        told = b"" if usage is None else data_event(self._parts[0].usage_chunk(usage))
        return told + self._parts[0].ended()


async def merged(runs: Sequence[Events]) -> AsyncGenerator[Numbered]:
    """Yield the events of several answers as they arrive; closing it cancels every call."""
    queue: asyncio.Queue[Numbered | Exception | None] = asyncio.Queue(AHEAD)
    turns = asyncio.Semaphore(AT_ONCE)

    async def follow(number: int, events: Events) -> None:
        try:
            async with turns, aclosing(events):
                async for event in events:
                    await queue.put(Numbered(number, event))
            await queue.put(None)
        except Exception as exc:  # noqa: BLE001  raised where the events are read
            await queue.put(exc)

    tasks = [asyncio.create_task(follow(*each)) for each in enumerate(runs)]
    left = len(tasks)
    try:
        while left:
            found = await queue.get()
            if isinstance(found, Exception):
                raise found
            if found is None:
                left -= 1
            else:
                yield found
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
