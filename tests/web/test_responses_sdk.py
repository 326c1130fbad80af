"""OpenAI's own library speaks the Responses API with the service."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import openai
import pytest
from openai import AsyncOpenAI
from openai.types.responses import FunctionToolParam
from pydantic import BaseModel

from collegium.errors import ExpertError
from tests.web.conftest import Serve, Web
from tests.web.fakes import delta

FIND: FunctionToolParam = {
    "type": "function",
    "name": "find",
    "description": "Find a person.",
    "parameters": {"type": "object", "properties": {"name": {"type": "string"}}},
    "strict": False,
}


class Person(BaseModel):
    """What an answer is parsed as."""

    name: str
    age: int


def client_of(web: Web) -> AsyncOpenAI:
    """The library, which reaches the service without a socket."""
    http = httpx.AsyncClient(transport=httpx.ASGITransport(web.app))
    return AsyncOpenAI(
        api_key="none", base_url="http://localhost/v1", http_client=http, max_retries=0
    )


@pytest.fixture
async def client(web: Web) -> AsyncIterator[AsyncOpenAI]:
    """A client of the usual service."""
    async with client_of(web) as client:
        yield client


async def test_create(client: AsyncOpenAI) -> None:
    """A whole response, with the text at hand."""
    response = await client.responses.create(model="auto", input="sql 1")
    assert (response.status, response.output_text) == ("completed", "hello there")
    assert response.usage is not None
    assert response.usage.total_tokens == 9
    assert response.model_extra is not None
    assert response.model_extra["collegium"]["outcome"]["status"] == "ok"


async def test_create_streamed(client: AsyncOpenAI) -> None:
    """Every event is of a class of its own."""
    events = [e async for e in await client.responses.create(model="auto", input="a", stream=True)]
    deltas = [e.delta for e in events if e.type == "response.output_text.delta"]
    last = events[-1]
    assert last.type == "response.completed"
    assert "".join(deltas) == last.response.output_text


async def test_the_streams_own_helper(web: Web, client: AsyncOpenAI) -> None:
    """It puts snapshots together, and parses the arguments of tools."""
    function = {"name": "find", "arguments": '{"name":'}
    call = {"index": 0, "id": "call_1", "type": "function", "function": function}
    more = {"index": 0, "function": {"arguments": ' "Ada"}'}}
    web.experts["sql"].chunks = [
        delta({"role": "assistant", "content": "I look."}),
        delta({"tool_calls": [call]}),
        delta({"tool_calls": [more]}),
        delta({}, "tool_calls"),
    ]
    snapshots = []
    async with client.responses.stream(model="auto", input="sql 1", tools=[FIND]) as stream:
        async for event in stream:
            if event.type == "response.function_call_arguments.delta":
                snapshots.append(event.snapshot)
        response = await stream.get_final_response()
    assert snapshots == ['{"name":', '{"name": "Ada"}']
    assert [item.type for item in response.output] == ["message", "function_call"]
    assert response.output_text == "I look."


async def test_parse(web: Web, client: AsyncOpenAI) -> None:
    """An answer that keeps to a schema, as an object, whole and streamed."""
    web.experts["sql"].says = '{"name":"Ada","age":36}'
    response = await client.responses.parse(model="auto", input="sql 1", text_format=Person)
    assert response.output_parsed == Person(name="Ada", age=36)
    sent = web.experts["sql"].asked[-1].body["response_format"]
    assert (sent["type"], sent["json_schema"]["name"]) == ("json_schema", "Person")
    async with client.responses.stream(model="sql", input="a", text_format=Person) as stream:
        assert (await stream.get_final_response()).output_parsed == Person(name="Ada", age=36)


async def test_an_error_in_the_middle_is_raised(web: Web, client: AsyncOpenAI) -> None:
    """As the library does of OpenAI's own; what came before it is not taken for the answer."""
    web.experts["sql"].dies = ExpertError("sql", "broke")
    stream = await client.responses.create(model="sql", input="a", stream=True)
    with pytest.raises(openai.APIError, match="broke"):
        async for _ in stream:
            pass


async def test_input_tokens(client: AsyncOpenAI) -> None:
    """Counted before anything is asked."""
    assert (await client.responses.input_tokens.count(model="auto", input="a")).input_tokens > 0


async def test_stored_responses(serve: Serve) -> None:
    """Retrieved, gone on with, listed and deleted."""
    async with serve(record="full") as web, client_of(web) as client:
        first = await client.responses.create(model="sql", input="sql 1")
        again = await client.responses.retrieve(first.id)
        assert again == first
        second = await client.responses.create(
            model="sql", input="and 2?", previous_response_id=first.id
        )
        assert second.previous_response_id == first.id
        items = await client.responses.input_items.list(second.id)
        assert [item.type async for item in items] == ["message"]
        await client.responses.delete(first.id)
        with pytest.raises(openai.NotFoundError, match="No response"):
            await client.responses.retrieve(first.id)
