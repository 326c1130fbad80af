"""Chat completions, whole and streamed: what comes back, and what is written down."""

from __future__ import annotations

import json
from typing import Any

from collegium.errors import ExpertUnavailable
from tests.web.conftest import Web


def chunks(text: str) -> list[Any]:
    """The chunks of a streamed answer that came to its end."""
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


async def test_a_whole_answer_is_the_upstreams_with_our_labels(web: Web) -> None:
    """Its message, usage and further fields as they came; `model` is the expert."""
    response = await web.chat("sql 1")
    body = response.json()
    assert response.status_code == 200
    assert body["model"] == "sql"
    assert body["system_fingerprint"] == "fp"
    assert body["choices"][0]["message"] == {"role": "assistant", "content": "hello there"}
    assert body["usage"] == {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    assert body["collegium"]["decision"]["expert"] == "sql"
    assert body["collegium"]["outcome"]["cost_usd"] == (7 * 1.0 + 2 * 2.0) / 1e6
    assert response.headers["x-collegium-expert"] == "sql"
    assert response.headers["x-collegium-cost-usd"] == "0.00001100"


async def test_a_stream_is_labelled_at_both_ends(web: Web) -> None:
    """The decision on the first chunk, the outcome on the last, the usage after it if wanted."""
    response = await web.chat("sql 1", stream=True, stream_options={"include_usage": True})
    first, *middle, last, usage = chunks(response.text)
    assert first["collegium"]["decision"]["expert"] == first["collegium"]["expert"] == "sql"
    assert first["x-router-metadata"]["model"] == "sql"
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert "".join(c["choices"][0]["delta"]["content"] for c in middle) == "hello there "
    assert last["choices"][0]["finish_reason"] == "stop"
    assert last["collegium"]["outcome"]["completion_tokens"] == 2
    assert (usage["choices"], usage["usage"]["total_tokens"]) == ([], 9)
    assert {c["id"] for c in [first, *middle, last, usage]} == {"chatcmpl-upstream"}


async def test_another_expert_answers_when_the_first_can_not(web: Web) -> None:
    """The answer, the record and the metrics name who answered and who was tried."""
    web.experts["sql"].refuses = ExpertUnavailable("sql", "is down")
    body = (await web.chat("sql 1")).json()
    outcome = body["collegium"]["outcome"]
    assert body["model"] == outcome["expert"] != "sql"
    assert [tried["expert"] for tried in outcome["tried"]] == ["sql"]
    recorded = await web.outcome(body["collegium"]["decision"]["id"])
    assert recorded["expert"] == body["model"]
