"""POST /v1/embeddings and /v1/rerank: by our own encoder, and by experts."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import httpx
import numpy as np
import pytest

from collegium.registry.expert import Expert
from tests.router.synthetic import WordEncoder
from tests.web.bulk import done, results
from tests.web.conftest import Serve, Web, on_shared
from tests.web.fakes import ADDRESS

PATH, RERANK = "/v1/embeddings", "/v1/rerank"
EMBEDS = Expert(
    "embeds",
    "openai",
    "embeds",
    base_url=f"{ADDRESS}/embeds",
    input_price=2.0,
    output_price=0.0,
    capabilities={"endpoints": ["embeddings", "rerank"], "no_endpoints": ["chat"]},
)
USAGE = {"prompt_tokens": 5, "total_tokens": 5}
DATA = [{"object": "embedding", "index": i, "embedding": [0.6, -0.8]} for i in range(2)]
ANSWER = {"object": "list", "data": DATA, "usage": USAGE}


async def embed(web: Web, given: Any = "sql 1", **fields: Any) -> httpx.Response:
    return await web.http.post(PATH, json={"input": given, **fields})


@on_shared
@pytest.mark.parametrize("model", ["auto", "collegium/best", None])
async def test_our_own_encoder_embeds(shared: Web, model: str | None) -> None:
    """One vector a text, in their order, as the router reads them."""
    texts = ["sql 1", "lists 2", "sql 1"]
    body = (await embed(shared, texts, model=model)).json()
    vectors = np.array([row["embedding"] for row in body["data"]], dtype=np.float32)
    assert np.array_equal(vectors, WordEncoder().encode(texts))
    assert [row["index"] for row in body["data"]] == [0, 1, 2]
    assert (body["object"], body["model"]) == ("list", "words")
    assert body["usage"]["total_tokens"] == body["usage"]["prompt_tokens"] > 0
    answer = await embed(shared)
    assert float(answer.headers["x-collegium-cost-usd"]) == 0
    one = answer.json()
    assert one["data"][0] == body["data"][0]


@on_shared
async def test_vectors_come_as_text_too(shared: Web) -> None:
    """Little-endian float32 in base64, as OpenAI's SDK asks for them."""
    numbers = (await embed(shared)).json()["data"][0]["embedding"]
    packed = (await embed(shared, encoding_format="base64")).json()["data"][0]["embedding"]
    assert np.array_equal(np.frombuffer(base64.b64decode(packed), "<f4"), np.float32(numbers))


@on_shared
async def test_other_dimensions_are_refused(shared: Web) -> None:
    """With those that it has."""
    size = len((await embed(shared)).json()["data"][0]["embedding"])
    assert (await embed(shared, dimensions=size)).status_code == 200
    answer = await embed(shared, dimensions=size + 1)
    assert answer.status_code == 400
    assert f"must be {size} or left out" in answer.json()["error"]["message"]


async def test_many_texts_hold_up_nobody(web: Web) -> None:
    """They are encoded in batches, and others have their turn between two of them."""
    many = asyncio.create_task(embed(web, [f"sql {n}" for n in range(2000)]))
    answers = [await web.chat("sql 1") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert len((await many).json()["data"]) == 2000


async def test_long_texts_are_named(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the encoder says how much it reads."""
    monkeypatch.setattr(WordEncoder, "reads_tokens", 10, raising=False)
    body = (await embed(web, ["sql 1", "sql " * 50])).json()
    assert body["collegium"]["truncated"] == [1]


async def test_what_is_embedded_is_accounted_for(serve: Serve) -> None:
    """A decision with its outcome, without the texts; and the metrics count the tokens."""
    async with serve(experts=[EMBEDS], record="full") as web:
        web.experts["embeds"].native = ANSWER
        for model, price in (("auto", 0.0), ("embeds", 5 * 2.0 / 1e6)):
            answer = await embed(web, ["sql 1", "sql 2"], model=model)
            decision = answer.headers["x-collegium-decision-id"]
            outcome = await web.outcome(decision)
            kept = (await web.http.get(f"/v1/decisions/{decision}")).json()
            assert (outcome["status"], outcome["cost_usd"]) == ("ok", price)
            assert outcome["prompt_tokens"] == answer.json()["usage"]["prompt_tokens"]
            assert outcome["completion_tokens"] == 0
            assert kept["decision"]["prompt"] is kept["request"] is kept["answer"] is None
        metrics = await web.metrics()
    assert metrics['collegium_tokens_total{direction="prompt",expert="embeds"}'] == 5


# --- by experts ---


async def test_an_expert_embeds(serve: Serve) -> None:
    """It gets the request as it is, and its answer comes back."""
    async with serve(experts=[EMBEDS]) as web:
        web.experts["embeds"].native = ANSWER
        wishes = {"dimensions": 2, "encoding_format": "float", "user": "me", "truncate": True}
        answer = await embed(web, ["a", "b"], model="embeds", **wishes)
        (call,) = web.experts["embeds"].asked
    assert call.native is not None
    assert call.native.body == {"input": ["a", "b"], **wishes}
    body = answer.json()
    assert (body["object"], body["data"], body["model"]) == ("list", DATA, "embeds")
    assert body["usage"] == USAGE
    assert body["collegium"]["decision"]["expert"] == "embeds"
    assert answer.headers["x-collegium-cost-usd"] == "0.00001000"


async def test_tokens_are_for_experts(serve: Serve) -> None:
    """Our own encoder takes texts."""
    async with serve(experts=[EMBEDS]) as web:
        web.experts["embeds"].native = ANSWER
        for tokens in ([1, 2, 3], [[1, 2], [3]]):
            assert (await embed(web, tokens, model="embeds")).status_code == 200
            refused = await embed(web, tokens)
            assert refused.status_code == 400
            assert "takes texts" in refused.json()["error"]["message"]


async def test_who_embeds_answers_no_chats(serve: Serve) -> None:
    """And who answers chats does not embed, unless it is said to."""
    async with serve(experts=[EMBEDS]) as web:
        refused = await embed(web, model="sql")
        assert refused.status_code == 400
        message = refused.json()["error"]["message"]
        assert "'sql' does not serve it; these do: embeds" in message
        chat = await web.chat("sql 1")
        assert chat.json()["model"] == "sql"
        panel = await embed(web, model="collegium/vote")
        assert panel.status_code == 400


async def test_an_expert_ranks(serve: Serve) -> None:
    """By its name, or as the first that can."""
    results = [{"index": 1, "relevance_score": 0.9, "document": {"text": "b"}}]
    async with serve(experts=[EMBEDS]) as web:
        web.experts["embeds"].native = {"id": "rerank-1", "results": results, "usage": USAGE}
        asked = {"query": "q", "documents": ["a", {"text": "b"}], "top_n": 1}
        for model in ("embeds", "auto", None):
            body = (await web.http.post(RERANK, json={**asked, "model": model})).json()
            assert (body["id"], body["results"], body["model"]) == ("rerank-1", results, "embeds")
        native = web.experts["embeds"].asked[0].native
    assert native is not None
    assert native.body == asked


@on_shared
async def test_nobody_ranks(shared: Web) -> None:
    """Where no expert can."""
    answer = await shared.http.post(RERANK, json={"query": "q", "documents": ["a"]})
    assert answer.status_code == 400
    assert "A ranking needs the endpoint /rerank" in answer.json()["error"]["message"]


@on_shared
@pytest.mark.parametrize(
    ("path", "body", "param", "words"),
    [
        (PATH, {}, "input", "input is missing"),
        (PATH, {"input": []}, "input", "not an empty list"),
        (PATH, {"input": ""}, "input", "must not be empty"),
        (PATH, {"input": ["a", " "]}, "input[1]", "must not be empty"),
        (
            PATH,
            {"input": {"a": 1}},
            "input",
            "must be a string, an array of tokens, or a list of these",
        ),
        (PATH, {"input": ["a"] * 2049}, "input", "at most 2048 items"),
        (PATH, {"input": "a" * 32_769}, "input", "at most 32768 characters"),
        (PATH, {"input": ["1 " * 16_000] * 40}, "input", "at most 300000 tokens"),
        (PATH, {"input": "a", "encoding_format": "int8"}, "encoding_format", "'float' or 'base64'"),
        (PATH, {"input": "a", "model": "gtp"}, "model", "/embeddings"),
        (RERANK, {"query": "q"}, "documents", "documents is missing"),
        (RERANK, {"query": "q", "documents": []}, "documents", "must not be empty"),
        (RERANK, {"query": "q", "documents": ["a"] * 1001}, "documents", "at most 1000 items"),
        (RERANK, {"query": "", "documents": ["a"]}, "query", "must not be empty"),
        (RERANK, {"query": "q", "documents": [5]}, "documents[0]", "a string or an object"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_what_is_wrong_is_named(
    shared: Web, path: str, body: Any, param: str, words: str
) -> None:
    """As everywhere."""
    answer = await shared.http.post(path, json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, param)
    assert words in error["message"]


async def test_a_job_embeds(serve: Serve) -> None:
    """By an expert that is named."""
    bodies = {"a": {"model": "embeds", "input": "a"}, "auto": {"model": "auto", "input": "a"}}
    lines = [
        json.dumps({"custom_id": name, "method": "POST", "url": PATH, "body": body})
        for name, body in bodies.items()
    ]
    async with serve(experts=[EMBEDS]) as web:
        web.experts["embeds"].native = ANSWER
        batch, found = await done(web, lines, endpoint=PATH)
        (error,) = await results(web, batch["error_file_id"])
    assert found["a"]["body"]["data"] == DATA
    assert "Name an expert" in error["response"]["body"]["error"]["message"]
