"""Experts with a script behind the real service: the HTTP surface without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from collegium.errors import ExpertError
from collegium.experts.clients.endpoints import as_chat, native_of
from collegium.experts.clients.events import AnswerEvent, Began, Json
from collegium.experts.clients.factory import ClientsByKind
from collegium.experts.clients.native import Native
from collegium.experts.clients.openai_shape import (
    Listed,
    Unshaped,
    answer_events,
    chunk_events,
    head_of,
)
from collegium.experts.clients.reply import Call, ExpertClient, Reply
from collegium.registry.expert import Expert
from tests.router import synthetic

ADDRESS = "http://experts.test/v1"
SQL, LISTS, GENERAL = (
    Expert(
        e.name,
        "openai",
        e.name,
        base_url=f"{ADDRESS}/{e.name}",
        input_price=0.0,
        output_price=0.0,
        generalist=e.generalist,
    )
    for e in synthetic.POOL
)
POOL = (
    replace(SQL, input_price=1.0, output_price=2.0),
    LISTS,
    replace(GENERAL, output_price=10.0),
)
PRICES = {e.name: (e.input_price or 0.0, e.output_price or 0.0) for e in POOL}
"""Dollars per million tokens, of the prompt and of the answer."""
HEAD = {"id": "chatcmpl-upstream", "created": 1_700_000_000, "system_fingerprint": "fp"}


@dataclass
class Script:
    """What one expert does when it is asked."""

    says: str = "hello there"
    aggregates: str | None = None
    """What it says as an aggregator, where that is something else."""
    message: Json = field(default_factory=dict)
    """Further fields of the message, such as `tool_calls`."""
    usage: Json | None = field(
        default_factory=lambda: {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    )
    chunks: Sequence[Json] | None = None
    """The upstream's chunks, in the place of those that are made of the fields above."""
    choices: Sequence[Json] | None = None
    """The whole answer's choices, likewise."""
    native: Json | None = None
    """The answer of another endpoint than chat completions, where it is asked there."""
    native_chunks: Sequence[Json] = ()
    refuses: Exception | None = None
    """Raised before it begins."""
    recovers: int | None = None
    """Refuse so many calls only."""
    refusal: Callable[[Call], Exception | None] = lambda call: None
    """Raised before it begins, by what is asked."""
    dies: Exception | None = None
    """Raised after the first piece of a stream."""
    model: str | None = None
    """The model that the upstream says it is."""
    waits: bool = False
    """Wait for `go` before it begins."""
    pauses: bool = False
    """Wait for `go` after the first piece of a stream."""
    go: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[Call] = field(default_factory=list)
    left: int = 0
    """Calls that were cancelled."""


class FakeExperts:
    """Clients whose experts follow scripts, by name."""

    def __init__(self) -> None:
        self._scripts: dict[str, Script] = {}
        self.real: set[str] = set()
        """Experts that are asked at their addresses, by the service's own clients."""
        self._clients = ClientsByKind({}, timeout_s=5.0, key_variables=("*_API_KEY",))

    def __getitem__(self, name: str) -> Script:
        """The script of an expert."""
        return self._scripts.setdefault(name, Script())

    def let_go(self) -> None:
        """Let whoever waits go on."""
        for script in self._scripts.values():
            script.go.set()

    def of(self, expert: Expert) -> ExpertClient:
        """The expert's client."""
        if expert.name in self.real:
            return self._clients.of(expert)
        return FakeExpert(expert.name, self[expert.name])

    async def follow(self, experts: Sequence[Expert]) -> None:
        """Nothing is kept."""

    async def aclose(self) -> None:
        """Close what is real."""
        await self._clients.aclose()


class FakeExpert:
    """One expert that follows its script."""

    def __init__(self, name: str, script: Script) -> None:
        self._name = name
        self._script = script

    @asynccontextmanager
    async def ask(self, call: Call) -> AsyncGenerator[Reply]:
        """Answer, refuse or wait."""
        script = self._script
        script.asked.append(call)
        try:
            if script.waits:
                await script.go.wait()
            recovered = script.recovers is not None and len(script.asked) > script.recovers
            if script.refuses is not None and not recovered:
                raise script.refuses
            if (told := script.refusal(call)) is not None:
                raise told
            if (native := native_of(call.expert, call.native)) is not None:
                yield _native_reply(self._name, native, call, script)
            elif call.stream:
                yield Reply(self._streamed())
            else:
                yield Reply(Listed(answer_events(self._name, self._body(call))), streamed=False)
        except Unshaped as exc:  # as the real clients do
            raise ExpertError(
                self._name, "returned something other than a chat completion"
            ) from exc
        except (asyncio.CancelledError, GeneratorExit):
            script.left += 1
            raise

    async def aclose(self) -> None:
        """Nothing is open."""

    def _body(self, call: Call) -> Json:
        script, says = self._script, self._script.says
        if call.role == "aggregator" and script.aggregates is not None:
            says = script.aggregates
        message = {"role": "assistant", "content": says, **script.message}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        usage = {} if script.usage is None else {"usage": script.usage}
        choices = [choice] if script.choices is None else list(script.choices)
        named = {} if script.model is None else {"model": script.model}
        return {**HEAD, "object": "chat.completion", "choices": choices, **named, **usage}

    async def _streamed(self) -> AsyncGenerator[AnswerEvent]:
        for number, chunk in enumerate(self._chunks()):
            if number == 0:
                yield Began(self._name, head_of(chunk))
            if number == 2 and self._script.pauses:
                await self._script.go.wait()
            if number == 2 and self._script.dies is not None:
                raise self._script.dies
            for event in chunk_events(chunk):
                yield event

    def _chunks(self) -> Iterator[Json]:
        if self._script.chunks is not None:
            yield from ({**HEAD, **chunk} for chunk in self._script.chunks)
            return
        yield delta({"role": "assistant", "content": ""})
        for word in self._script.says.split(" "):
            yield delta({"content": f"{word} "})
        if self._script.message:
            yield delta(self._script.message)
        yield delta({}, "stop")
        if self._script.usage is not None:
            yield {**HEAD, "choices": [], "usage": self._script.usage}


def _native_reply(name: str, native: Native, call: Call, script: Script) -> Reply:
    if not call.stream:
        assert script.native is not None
        return Reply(Listed(answer_events(name, as_chat(native, script.native))), streamed=False)
    chunks = [as_chat(native, chunk) for chunk in script.native_chunks]
    events = [Began(name, head_of(chunks[0])), *(e for c in chunks for e in chunk_events(c))]
    return Reply(Listed(events))


def delta(fields: Json, finish_reason: str | None = None, index: int = 0, **choice: Any) -> Json:
    """One chunk as an upstream sends it."""
    told = {"index": index, "delta": fields, "finish_reason": finish_reason, **choice}
    return {**HEAD, "object": "chat.completion.chunk", "choices": [told]}
