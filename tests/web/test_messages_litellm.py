"""The Messages API by way of LiteLLM: what only Claude has survives there and back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from collegium.registry.expert import Expert
from tests.experts.scripted_server import Raw, Request, Scripted, response, scripted
from tests.web.conftest import Serve, Web
from tests.web.messages import Json, content_of, events, message
from tests.web.test_messages_native import CONTENT, STREAM, WHOLE, sse

# What LiteLLM and Pydantic have to settle between themselves.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*ReadOnly.*:UserWarning"),
    pytest.mark.filterwarnings("ignore:Accessing the 'model_.*:DeprecationWarning"),
]

MARK = {"cache_control": {"type": "ephemeral"}}
THINKING = {"type": "enabled", "budget_tokens": 2000}
SAID = {
    "role": "assistant",
    "content": [CONTENT[0], CONTENT[1], {"type": "text", "text": "Looking."}, CONTENT[3]],
}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "a cat"}
LOOK = {"name": "look", "input_schema": {"type": "object", "properties": {}}, **MARK}
LOOP: Json = {
    "model": "hosted",
    "max_tokens": 4000,
    "thinking": THINKING,
    "tools": [LOOK],
    "system": [{"type": "text", "text": "Be brief.", **MARK}],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "sql 1", **MARK}]},
        SAID,
        {"role": "user", "content": [RESULT]},
    ],
}


def respond(request: Request) -> Raw:
    """As Anthropic does, or as a server of chat completions."""
    if request.path.endswith("/chat/completions"):
        return response(body=CHAT)
    return sse(STREAM) if request.json().get("stream") else response(body=WHOLE)


@asynccontextmanager
async def hosted(serve: Serve, model: str) -> AsyncIterator[tuple[Web, Scripted]]:
    """A service with a model that LiteLLM asks."""
    async with scripted(respond) as server:
        url = server.url if model.startswith("openai/") else server.url.removesuffix("/v1")
        expert = Expert("hosted", "litellm", model, base_url=url, api_key_env="HOSTED_API_KEY")
        async with serve(experts=[expert]) as web:
            web.experts.real.add("hosted")
            yield web, server


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key of the hosted model."""
    monkeypatch.setenv("HOSTED_API_KEY", "s3cret")


async def test_claude_gets_all_of_a_request(serve: Serve) -> None:
    """Signed thoughts, marks of the cache and the budget."""
    async with hosted(serve, "anthropic/claude-sonnet-4-5") as (web, server):
        body = await message(web, **LOOP)
    sent = server.requests[-1].json()
    assert sent["thinking"] == THINKING
    user, assistant, result = sent["messages"]
    assert assistant["content"][:2] == CONTENT[:2]
    assert assistant["content"][-1]["input"] == {"at": "here"}
    assert user["content"][0]["cache_control"] == MARK["cache_control"]
    assert sent["system"][0]["cache_control"] == MARK["cache_control"]
    assert sent["tools"][0]["cache_control"] == MARK["cache_control"]
    assert result["content"][0]["tool_use_id"] == "toolu_1"
    assert body["content"] == CONTENT


async def test_claudes_stream_keeps_its_signatures(serve: Serve) -> None:
    """And its usage."""
    async with hosted(serve, "anthropic/claude-sonnet-4-5") as (web, _):
        told = await events(web, **LOOP)
    assert content_of(told) == CONTENT
    assert told[-2]["delta"]["stop_reason"] == "tool_use"
    usage = told[-2]["usage"]
    assert usage["input_tokens"] == 10
    assert usage["cache_read_input_tokens"] == 100
    assert usage["cache_creation_input_tokens"] == 5


async def test_a_chat_of_claudes_thinks_too(serve: Serve) -> None:
    """`thinking` is a parameter that LiteLLM knows."""
    async with hosted(serve, "anthropic/claude-sonnet-4-5") as (web, server):
        answer = await web.chat(model="hosted", max_tokens=4000, thinking=THINKING)
    assert answer.status_code == 200, answer.text
    assert server.requests[-1].json()["thinking"] == THINKING
    said = answer.json()["choices"][0]["message"]
    assert said["thinking_blocks"] == CONTENT[:2]


async def test_other_models_get_a_plain_chat(serve: Serve) -> None:
    """Which strict servers take."""
    plain = {k: v for k, v in LOOP.items() if k != "thinking"}
    async with hosted(serve, "openai/tiny") as (web, server):
        body = await message(web, **plain)
    assert body["content"] == [{"type": "text", "text": "hi"}]
    sent = server.requests[-1].body
    assert b"cache_control" not in sent
    assert b"thinking" not in sent


CHAT = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "tiny",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}
