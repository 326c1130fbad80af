"""How the tests of the HTTP client ask: for a whole answer, and for a streamed one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from collegium.experts.clients.events import AnswerEvent, Json
from collegium.experts.clients.reply import Call, ExpertClient
from collegium.registry.expert import Expert

BODY = {"messages": [{"role": "user", "content": "Hi"}], "model": "auto", "top_k": 5}
TINY = Expert("tiny", "openai", "tiny")


async def streamed(client: ExpertClient) -> list[AnswerEvent]:
    """All events of one streamed answer."""
    async with client.ask(Call(TINY, BODY, stream=True)) as reply:
        await reply.begin("tiny")
        return [event async for event in reply]


async def whole(client: ExpertClient) -> Json:
    """The body of one whole answer."""
    async with client.ask(Call(TINY, BODY)) as reply:
        await reply.begin("tiny")
        return (await reply.whole()).body()


Asking = Callable[[ExpertClient], Any]
WAYS: dict[str, Asking] = {"whole": whole, "streamed": streamed}
both_ways = pytest.mark.parametrize("ask", WAYS.values(), ids=WAYS.keys())
