"""OpenAI's own Python client adds up our streams, also those of panels and careless upstreams."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.conftest import Web
from tests.web.fakes import delta

TOOL: Any = {
    "type": "function",
    "function": {"name": "find", "strict": True, "parameters": {"type": "object"}},
}
CALLS = [
    {"id": "a", "type": "function", "function": {"name": "find", "arguments": "{}"}},
    {"id": "b", "type": "function", "function": {"name": "find", "arguments": "{}"}},
]


async def added_up(web: Web, model: str, routing: Any) -> Any:
    """The message that the client makes of a stream."""
    from openai import AsyncOpenAI

    client = AsyncOpenAI(base_url="http://localhost/v1", api_key="none", http_client=web.http)
    asked = client.chat.completions.stream(
        model=model,
        messages=[{"role": "user", "content": "sql 1"}],
        tools=[TOOL],
        extra_body={"routing": routing},
    )
    async with asked as stream:
        async for _ in stream:
            pass
        return (await stream.get_final_completion()).choices[0].message


@pytest.mark.parametrize(
    ("model", "routing"),
    [("sql", {}), ("collegium/vote", {"k": 2}), ("collegium/first", {"k": 2})],
)
async def test_tool_calls_are_added_up(web: Web, model: str, routing: Any) -> None:
    """Each with its id, its name and its arguments, once."""
    for name in ("sql", "lists", "general"):
        web.experts[name].says = ""
        web.experts[name].message = {"tool_calls": CALLS, "reasoning_content": "hm"}
    message = await added_up(web, model, routing)
    found = [(c.id, c.function.name, c.function.arguments) for c in message.tool_calls]
    assert found == [("a", "find", "{}"), ("b", "find", "{}")]
    assert message.reasoning_content == "hm"


@pytest.mark.parametrize("model", ["collegium/moa", "collegium/self_moa"])
async def test_an_aggregators_reasoning_is_kept(web: Web, model: str) -> None:
    """Whole and streamed."""
    for name in ("sql", "lists", "general"):
        web.experts[name].chunks = [
            delta({"role": "assistant", "reasoning_content": "hm"}),
            delta({"content": "Hello"}),
            delta({}, "stop"),
        ]
    body = {"messages": [{"role": "user", "content": "sql 1"}], "routing": {"k": 2}}
    got = await web.http.post("/v1/chat/completions", json={**body, "model": model})
    message = got.json()["choices"][0]["message"]
    assert (message["reasoning_content"], message["content"]) == ("hm", "Hello")
