"""Experts with a script: what they say, when, and what they were asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from collegium.errors import CollegiumError
from collegium.experts.aggregation.base import Member, Mode, Panel
from collegium.experts.aggregation.events import Chosen, Dropped, Event
from collegium.experts.clients.events import AnswerEvent, Began, Finish, Json
from collegium.experts.clients.openai_shape import Listed, chunk_events
from collegium.experts.clients.reply import Answer, Call, Fold, Reply
from collegium.registry.expert import Expert

QUESTION: Json = {"messages": [{"role": "user", "content": "How many are they?"}]}
ABOUT_ANSWERS = "The answers to judge:"


@dataclass
class Script:
    """What an expert, or one in a role, `says`: text, a delta or an error.

    `turns` is the order in which experts finish.
    """

    says: Mapping[Any, Any]
    turns: tuple[str, ...] = ()
    hangs: frozenset[str] = frozenset()
    logprobs: Mapping[str, float] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def ask(self, call: Call) -> AsyncGenerator[Reply]:
        """The seam that modes get."""
        self.calls.append(call)
        name = call.expert.name
        try:
            for _ in range(3 * self.turns.index(name) + 3 if name in self.turns else 0):
                await asyncio.sleep(0)
            if name in self.hangs:
                await asyncio.Event().wait()
            said = self.says.get((name, call.role), self.says.get(name, "nothing"))
            if isinstance(said, CollegiumError):
                raise said
            reply = Reply(Listed(self._events(name, said)))
            await reply.begin(name)
            yield reply
        except (GeneratorExit, asyncio.CancelledError):
            self.cancelled.append(name)
            raise

    def _events(self, name: str, said: Any) -> Iterator[AnswerEvent]:
        yield Began(name)
        pieces = [said] if isinstance(said, dict) else [
            {"content": said[i : i + 7]} for i in range(0, len(said), 7)
        ]  # fmt: skip
        for delta in pieces:
            yield from chunk_events(_chunk(delta, logprob=self.logprobs.get(name)))
        yield from chunk_events(_chunk({}, "stop"))

    def roles(self) -> list[tuple[str, str]]:
        """Who was asked as what."""
        return [(call.expert.name, call.role) for call in self.calls]

    def asked(self, role: str) -> str:
        """All that the first call of a role was told."""
        call = next(call for call in self.calls if call.role == role)
        return "\n".join(message["content"] for message in call.body["messages"])


def _chunk(delta: Json, finish: str | None = None, logprob: float | None = None) -> Json:
    choice: Json = {"index": 0, "delta": delta, "finish_reason": finish}
    if logprob is not None:
        token = {"token": delta["content"], "logprob": logprob}
        choice["logprobs"] = {"content": [token]}
    return {"choices": [choice]}


def member(name: str, forecast: float | None = None, **fields: Any) -> Member:
    """A member of a panel."""
    return Member(Expert(name, "openai", name, context_window=4096), forecast, **fields)


def panel_of(*names: str, aggregator: str | None = None, **fields: Any) -> Panel:
    """A panel of experts about which nothing is known."""
    combines = member(aggregator) if aggregator else None
    return Panel(tuple(map(member, names)), combines, **fields)


async def run(
    mode: Mode, panel: Panel, script: Script, body: Mapping[str, Any] = QUESTION
) -> list[Event]:
    """All events of one answer."""
    return [event async for event in mode.run(panel, body, script.ask)]


def whole(events: Iterable[Event]) -> Answer:
    """The panel's answer; its last event says that it is complete."""
    events = list(events)
    assert isinstance(events[-1], Finish)
    fold = Fold()
    for event in events:
        fold.take(event)
    return fold.answer()


def answer(events: Iterable[Event]) -> str:
    """The text of the panel's answer."""
    return whole(events).text


def chosen(events: Iterable[Event]) -> Chosen:
    """Whose answer it is."""
    return next(event for event in events if isinstance(event, Chosen))


def dropped(events: Iterable[Event]) -> dict[int, str]:
    """Reasons by seat."""
    return {event.seat: event.reason for event in events if isinstance(event, Dropped)}
