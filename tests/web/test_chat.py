"""Whole chat completions: what comes back, what the expert gets, and what is written down."""

from __future__ import annotations

import json

import pytest

from tests.web.conftest import Serve, Web

TOOLS = [
    {"id": "a", "type": "function", "function": {"name": "find", "arguments": '{"x": 1}'}},
    {"id": "b", "type": "function", "function": {"name": "read", "arguments": "{}"}},
]


async def test_a_whole_answer_is_the_upstreams_with_our_labels(web: Web) -> None:
    """Its message, usage and further fields as they came; `model` is the expert."""
    response = await web.chat("sql 1")
    body = response.json()
    assert response.status_code == 200
    assert body["object"] == "chat.completion"
    assert body["model"] == "sql"
    assert body["system_fingerprint"] == "fp"
    assert body["choices"][0]["message"] == {"role": "assistant", "content": "hello there"}
    assert body["usage"] == {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    assert body["collegium"]["decision"]["expert"] == "sql"
    assert body["collegium"]["outcome"]["cost_usd"] == (7 * 1.0 + 2 * 2.0) / 1e6
    assert response.headers["x-collegium-expert"] == "sql"
    assert response.headers["x-collegium-cost-usd"] == "0.00001100"


async def test_the_headers_tell_the_decision(web: Web) -> None:
    """All that the documentation lists, each as in the body."""
    response = await web.chat("sql 1")
    decision = response.json()["collegium"]["decision"]
    told = {name: response.headers[name] for name in response.headers if name.startswith("x-")}
    assert told == {
        "x-collegium-expert": decision["expert"],
        "x-collegium-policy": "quality",
        "x-collegium-confidence": f"{decision['confidence']:.4f}",
        "x-collegium-cost-usd": "0.00001100",
        "x-collegium-overhead-ms": f"{decision['overhead_ms']:.2f}",
        "x-collegium-decision-id": decision["id"],
        "x-router-route": "quality",
        "x-router-model": "sql",
        "x-content-type-options": "nosniff",
        "x-request-id": response.headers["x-request-id"],
    }


async def test_the_expert_gets_all_but_what_is_ours(web: Web) -> None:
    """Fields that we don't know pass through; our own, `model` and `stream` do not."""
    await web.chat("sql 1", temperature=0.5, top_k=5, routing={"tradeoff": 0}, stream=False)
    (call,) = web.experts["sql"].asked
    messages = [{"role": "user", "content": "sql 1"}]
    assert call.body == {"messages": messages, "temperature": 0.5, "top_k": 5}
    assert not call.stream


async def test_every_choice_comes_back(web: Web) -> None:
    """With `n` the expert gives several, each with its reason and log-probabilities."""
    tokens = {"content": [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}]}
    web.experts["sql"].choices = [
        {
            "index": i,
            "message": {"role": "assistant", "content": text},
            "finish_reason": reason,
            "logprobs": tokens,
        }
        for i, (text, reason) in enumerate([("a", "stop"), ("b", "length")])
    ]
    body = (await web.chat("sql 1", n=2, logprobs=True)).json()
    told = [(c["index"], c["message"]["content"], c["finish_reason"]) for c in body["choices"]]
    assert told == [(0, "a", "stop"), (1, "b", "length")]
    assert [choice["logprobs"] for choice in body["choices"]] == [tokens, tokens]


async def test_tool_calls_reasoning_and_refusals_are_kept(web: Web) -> None:
    """A message's fields are the upstream's, whatever they are."""
    script = web.experts["sql"]
    script.says = ""
    script.message = {
        "content": None,
        "tool_calls": TOOLS,
        "reasoning_content": "hm",
        "refusal": None,
    }
    message = (await web.chat("sql 1")).json()["choices"][0]["message"]
    assert message == {"role": "assistant", **script.message}
    script.message = {"content": None, "refusal": "I can't help with that."}
    message = (await web.chat("sql 1")).json()["choices"][0]["message"]
    assert message == {"role": "assistant", **script.message}


async def test_an_answer_without_usage_has_none(web: Web) -> None:
    """What the upstream does not tell is not made up; its price is estimated."""
    web.experts["sql"].usage = None
    body = (await web.chat("sql 1")).json()
    assert "usage" not in body
    assert body["collegium"]["outcome"]["prompt_tokens"] > 0


async def test_a_missing_part_of_the_usage_is_estimated_and_the_rest_kept(web: Web) -> None:
    """Some upstreams count the answer alone."""
    web.experts["sql"].usage = {"completion_tokens": 41}
    outcome = (await web.chat("sql 1")).json()["collegium"]["outcome"]
    assert outcome["prompt_tokens"] > 0
    assert outcome["completion_tokens"] == 41


async def test_an_answer_without_a_reason_to_end_has_none(web: Web) -> None:
    """Servers that do not say."""
    message = {"role": "assistant", "content": "hello"}
    web.experts["sql"].choices = [{"index": 0, "message": message}]
    (choice,) = (await web.chat("sql 1")).json()["choices"]
    assert choice == {"index": 0, "message": message, "finish_reason": None}


async def test_half_a_surrogate_pair_is_replaced_before_an_expert_reads_it(web: Web) -> None:
    """A cut emoji in a client's JSON; what an expert writes is passed on."""
    web.experts["sql"].says = "half \ud83d"
    said = {"messages": [{"role": "user", "content": "sql \ud83d"}], "user": "half \ud83d"}
    content = json.dumps(said)
    headers = {"content-type": "application/json"}
    response = await web.http.post("/v1/chat/completions", content=content, headers=headers)
    assert response.json()["choices"][0]["message"]["content"] == "half \ud83d"
    sent = {"messages": [{"role": "user", "content": "sql \ufffd"}], "user": "half \ufffd"}
    assert web.experts["sql"].asked[0].body == sent
    decision = response.json()["collegium"]["decision"]["id"]
    assert (await web.outcome(decision))["status"] == "ok"


async def test_a_decision_and_its_outcome_are_recorded(web: Web) -> None:
    """What the API shows is what is kept."""
    labels = (await web.chat("sql 1", routing={"tradeoff": 2})).json()["collegium"]
    decision, outcome = labels["decision"], labels["outcome"]
    kept = await web.outcome(decision["id"])
    assert {name: kept[name] for name in outcome} == outcome
    record = (await web.http.get(f"/v1/decisions/{decision['id']}")).json()["decision"]
    assert record["prompt"] == "sql 1"
    assert record["limits"] == {"tradeoff": 2.0}
    assert record["forecasts"] == decision["forecasts"]


async def test_prompts_are_not_kept_where_the_settings_say_so(serve: Serve) -> None:
    """The rest of the decision is."""
    async with serve(record="off") as web:
        decision = (await web.chat("sql 1")).json()["collegium"]["decision"]["id"]
        record = (await web.http.get(f"/v1/decisions/{decision}")).json()["decision"]
    assert (record["prompt"], record["expert"]) == (None, "sql")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/route"])
async def test_a_decision_lists_every_candidate(web: Web, path: str) -> None:
    """All forecasts, best first, the reason and the overhead."""
    body = {"messages": [{"role": "user", "content": "sql 1"}]}
    answer = (await web.http.post(path, json=body)).json()
    decision = answer.get("collegium", {}).get("decision", answer)
    assert [f["expert"] for f in decision["forecasts"]] == ["sql", "general", "lists"]
    assert decision["expert"] == "sql"
    assert decision["overhead_ms"] > 0
    assert decision["reason"]


async def test_a_route_asks_and_records_nothing(web: Web) -> None:
    """Only the decision, also in the headers."""
    body = {"messages": [{"role": "user", "content": "sql 1"}]}
    response = await web.http.post("/v1/route", json=body)
    assert response.headers["x-collegium-expert"] == "sql"
    assert web.experts["sql"].asked == []
    assert (await web.http.get(f"/v1/decisions/{response.json()['id']}")).status_code == 404
