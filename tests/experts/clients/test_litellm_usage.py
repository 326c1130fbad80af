"""Usage of other vendors' own APIs comes through LiteLLM as they told it, whole and streamed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from collegium.experts.clients.litellm import LiteLLMExpert
from collegium.experts.clients.reply import Call
from collegium.experts.clients.usage import Tokens
from collegium.registry.expert import Expert
from tests.experts.scripted_server import Raw, Request, response, scripted

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*ReadOnly.*:UserWarning"),
    pytest.mark.filterwarnings("ignore:Accessing the 'model_.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20"),
]
BODY = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 8}
CLAUDE = {
    "input_tokens": 50,
    "cache_read_input_tokens": 100_000,
    "cache_creation_input_tokens": 248,
    "cache_creation": {"ephemeral_5m_input_tokens": 148, "ephemeral_1h_input_tokens": 100},
    "output_tokens": 3,
}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5",
    "stop_sequence": None,
}
DEEPSEEK = {
    "prompt_tokens": 110,
    "completion_tokens": 4,
    "total_tokens": 114,
    "prompt_cache_hit_tokens": 64,
    "prompt_cache_miss_tokens": 46,
}
HEAD = {"id": "1", "created": 1, "model": "deepseek-chat"}


def sent(*events: dict[str, Any], named: bool) -> Raw:
    """Server-sent events."""
    lines = [
        f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" if named else f"data: {json.dumps(e)}\n\n"
        for e in events
    ]
    return response(text="".join(lines) + ("" if named else "data: [DONE]\n\n"))


def anthropic(request: Request) -> Raw:
    """Anthropic's Messages API."""
    if not request.json().get("stream"):
        content = [{"type": "text", "text": "Hello."}]
        return response(
            body={**MESSAGE, "content": content, "stop_reason": "end_turn", "usage": CLAUDE}
        )
    start: dict[str, Any] = {
        **MESSAGE,
        "content": [],
        "stop_reason": None,
        "usage": {**CLAUDE, "output_tokens": 1},
    }
    return sent(
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "text_delta", "text": "Hello."},
        },
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 3},
        },
        {"type": "message_stop"},
        named=True,
    )


def deepseek(request: Request) -> Raw:
    """DeepSeek's chat completions."""
    message = {"role": "assistant", "content": "Hello."}
    if not request.json().get("stream"):
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return response(
            body={**HEAD, "object": "chat.completion", "choices": [choice], "usage": DEEPSEEK}
        )
    chunk = {**HEAD, "object": "chat.completion.chunk"}
    return sent(
        {**chunk, "choices": [{"index": 0, "delta": message, "finish_reason": None}]},
        {
            **chunk,
            "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
            "usage": DEEPSEEK,
        },
        named=False,
    )


CASES = [
    (
        "anthropic/claude-sonnet-4-5",
        anthropic,
        Tokens(100_298, 3, cached=100_000, cache_write=248, cache_write_1h=100),
    ),
    ("deepseek/deepseek-chat", deepseek, Tokens(110, 4, cached=64)),
]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("model", "vendor", "tokens"), CASES, ids=[c[0] for c in CASES])
async def test_the_tokens_are_the_vendors(
    model: str, vendor: Any, tokens: Tokens, stream: bool
) -> None:
    """Of each kind, and each once."""
    expert = Expert("hosted", "litellm", model)
    async with scripted(vendor) as server:
        client = LiteLLMExpert("hosted", model, base_url=server.url, api_key="s3cret")
        async with client.ask(Call(expert, BODY, stream=stream)) as reply:
            await reply.begin("hosted")
            answer = await reply.whole()
    assert answer.text == "Hello."
    assert answer.usage is not None
    assert answer.usage.tokens == tokens
