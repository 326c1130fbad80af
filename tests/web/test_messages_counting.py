"""POST /v1/messages/count_tokens, and Anthropic's list of models."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from anthropic.types import MessageTokensCount, ModelInfo

from collegium.experts.clients.counting import prompt_tokens
from tests.web.conftest import Serve, Web, on_shared
from tests.web.fakes import LISTS
from tests.web.messages import Json, error_of

COUNT = "/v1/messages/count_tokens"
TOOL = {"name": "look", "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}}}
PROMPT: Json = {
    "system": "Be brief.",
    "messages": [{"role": "user", "content": "sql 1"}],
    "tools": [TOOL],
}


async def count(web: Web, **fields: Any) -> tuple[int, str]:
    """How many, and who counted."""
    answer = await web.http.post(COUNT, json={**PROMPT, **fields})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body.keys() == {"input_tokens"}
    counted = MessageTokensCount.model_validate(body, strict=True)
    return counted.input_tokens, answer.headers["x-collegium-counted"]


@on_shared
async def test_an_estimate(shared: Web) -> None:
    """Of the whole prompt as the experts get it; nobody is asked."""
    chat = {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "sql 1"},
        ],
        "tools": [
            {"type": "function", "function": {"name": "look", "parameters": TOOL["input_schema"]}}
        ],
    }
    assert await count(shared, model="auto") == (prompt_tokens(chat), "estimate")
    assert await count(shared, model="sql") == (prompt_tokens(chat), "estimate")
    assert await count(shared, model="collegium/vote") == (prompt_tokens(chat), "estimate")
    shorter, _ = await count(shared, tools=[])
    assert shorter < prompt_tokens(chat)


@on_shared
async def test_a_model_that_is_not_there(shared: Web) -> None:
    """Has no tokens."""
    answer = await shared.http.post(COUNT, json={**PROMPT, "model": "gtp"})
    assert error_of(answer)[:2] == (404, "not_found_error")


async def test_a_presets_prompt_is_counted(serve: Serve) -> None:
    """It is read too."""
    preset = {"base": "lists", "body": {}, "system": "Think of every list that there is."}
    expert = replace(LISTS, name="thoughtful", preset=preset)
    async with serve(experts=[expert]) as web:
        assert (await count(web, model="thoughtful"))[0] > (await count(web, model="lists"))[0]


@on_shared
async def test_models_in_anthropics_shape(shared: Web) -> None:
    """Where the client says that it is Anthropic's."""
    headers = {"anthropic-version": "2023-06-01"}
    body = (await shared.http.get("/v1/models", headers=headers)).json()
    names = [ModelInfo.model_validate(model).id for model in body["data"]]
    assert (body["first_id"], body["last_id"]) == (names[0], names[-1])
    assert body["has_more"] is False
    usual = (await shared.http.get("/v1/models")).json()
    assert names == [model["id"] for model in usual["data"]]
