"""Anthropic's own SDK against the service, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import pytest

from collegium.errors import ExpertError, ExpertUnavailable
from tests.web.access import KEYS
from tests.web.conftest import Serve, Web
from tests.web.fakes import delta
from tests.web.messages import Json, asking
from tests.web.test_connections import LIMITS, listening

KEY = "a-callers-key"
Client = Any
"""The SDK's client: its types want a cast for each block."""
HELLO: Json = asking("sql 1")
LOOK: Json = {
    "name": "look",
    "description": "Looks at a place.",
    "input_schema": {"type": "object", "properties": {"at": {"type": "string"}}},
}


@pytest.fixture
async def web(serve: Serve) -> AsyncIterator[Web]:
    """A service with keys."""
    async with serve(**KEYS) as web:
        yield web


@pytest.fixture
async def client(web: Web) -> AsyncIterator[Client]:
    """The SDK's client, which sends its key as `x-api-key`."""
    async with (
        listening(web.app, LIMITS) as port,
        anthropic.AsyncAnthropic(
            api_key=KEY, base_url=f"http://127.0.0.1:{port}", max_retries=0
        ) as client,
    ):
        yield client


async def test_create(client: Client) -> None:
    """A whole message."""
    message = await client.messages.create(**HELLO)
    assert message.content[0].text == "hello there"
    assert message.stop_reason == "end_turn"
    assert message.usage.output_tokens == 2
    assert message._request_id is not None


async def test_stream(client: Client) -> None:
    """By the helper that puts the message together."""
    async with client.messages.stream(**HELLO) as stream:
        words = [text async for text in stream.text_stream]
        message = await stream.get_final_message()
    assert "".join(words) == message.content[0].text == "hello there "
    assert (message.usage.input_tokens, message.usage.output_tokens) == (7, 2)


async def test_raw_stream(client: Client) -> None:
    """Event by event."""
    kinds = [event.type async for event in await client.messages.create(**HELLO, stream=True)]
    assert kinds[0] == "message_start"
    assert kinds[-1] == "message_stop"


async def test_a_tool_loop(web: Web, client: Client) -> None:
    """What the helper has put together is sent back as it is."""
    script = web.experts["sql"]
    thought = {"type": "thinking", "thinking": "", "signature": "s1"}
    first = {"index": 0, "id": "c1", "type": "function"}
    script.chunks = [
        delta({"reasoning_content": "I have to look."}),
        delta({"thinking_blocks": [thought]}),
        delta({"tool_calls": [{**first, "function": {"name": "look", "arguments": '{"at"'}}]}),
        delta({"tool_calls": [{"index": 0, "function": {"arguments": ': "here"}'}}]}),
        delta({}, "tool_calls"),
    ]
    async with client.messages.stream(**HELLO, tools=[LOOK]) as stream:
        message = await stream.get_final_message()
    thinking, used = message.content
    assert (thinking.thinking, thinking.signature) == ("I have to look.", "s1")
    assert (used.name, used.input, message.stop_reason) == ("look", {"at": "here"}, "tool_use")
    script.chunks = None
    result = {"type": "tool_result", "tool_use_id": used.id, "content": "a cat"}
    turns = [
        *HELLO["messages"],
        {"role": "assistant", "content": message.content},
        {"role": "user", "content": [result]},
    ]
    last = await client.messages.create(
        **{**HELLO, "messages": turns, "model": "sql"}, tools=[LOOK]
    )
    assert last.stop_reason == "end_turn"
    sent = script.asked[-1].body["messages"]
    assert [m["role"] for m in sent] == ["user", "assistant", "tool"]
    assert sent[1]["tool_calls"][0]["id"] == sent[2]["tool_call_id"] == "c1"


async def test_beta_messages(client: Client) -> None:
    """With betas, which come as a header and a query."""
    message = await client.beta.messages.create(**HELLO, betas=["interleaved-thinking-2025-05-14"])
    assert message.content[0].text == "hello there"


async def test_count_tokens(client: Client) -> None:
    """Of a prompt."""
    counted = await client.messages.count_tokens(model="auto", messages=HELLO["messages"])
    assert counted.input_tokens > 0


async def test_models(client: Client) -> None:
    """Page by page."""
    names = [model.id async for model in client.models.list()]
    assert {"auto", "sql"} <= set(names)


async def test_errors_are_the_sdks(web: Web, client: Client) -> None:
    """Each of its class."""
    with pytest.raises(anthropic.NotFoundError, match="There is no model"):
        await client.messages.create(**{**HELLO, "model": "gtp"})
    with pytest.raises(anthropic.BadRequestError, match="max_tokens"):
        await client.messages.create(**{**HELLO, "max_tokens": -1})
    with pytest.raises(anthropic.AuthenticationError, match="The API key"):
        await client.with_options(api_key="wrong-key-of-nobody").messages.create(**HELLO)
    web.experts["sql"].refuses = ExpertUnavailable("sql", "is down")
    with pytest.raises(anthropic.InternalServerError, match="is down") as found:
        await client.messages.create(**{**HELLO, "model": "sql"})
    assert found.value.type == "overloaded_error"


async def test_an_error_in_a_stream(web: Web, client: Client) -> None:
    """Is raised in the middle."""
    web.experts["sql"].dies = ExpertError("sql", "broke")
    with pytest.raises(anthropic.APIStatusError, match="broke"):
        async with client.messages.stream(**{**HELLO, "model": "sql"}) as stream:
            await stream.until_done()
