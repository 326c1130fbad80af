"""POST /v1/completions: by experts that complete, and by those that are asked in a chat."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from collegium.errors import ExpertError
from collegium.registry.expert import Expert
from tests.web.bulk import done, results
from tests.web.conftest import Serve, Web, on_shared
from tests.web.fakes import ADDRESS
from tests.web.reading import chunks, events

PATH = "/v1/completions"
BASE = Expert(
    "base",
    "openai",
    "base",
    base_url=f"{ADDRESS}/base",
    input_price=1.0,
    output_price=1.0,
    capabilities={"endpoints": ["chat", "completions"]},
)
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
LISTS = {
    "tokens": ["Once", " upon"],
    "token_logprobs": [None, -0.5],
    "top_logprobs": [None, {" upon": -0.5}],
    "text_offset": [0, 4],
}


def completed(*texts: str, **choice: Any) -> dict[str, Any]:
    """What an expert's /completions answers."""
    choices = [
        {"index": i, "text": text, "logprobs": None, "finish_reason": "length", **choice}
        for i, text in enumerate(texts)
    ]
    return {"id": "cmpl-upstream", "object": "text_completion", "choices": choices, "usage": USAGE}


def part(text: str, index: int = 0, reason: str | None = None) -> dict[str, Any]:
    """One chunk of it."""
    choice = {"index": index, "text": text, "logprobs": None, "finish_reason": reason}
    return {"id": "cmpl-upstream", "object": "text_completion", "choices": [choice]}


async def ask(web: Web, prompt: Any = "sql 1", **fields: Any) -> httpx.Response:
    return await web.http.post(PATH, json={"prompt": prompt, **fields})


# --- asked in a chat ---


async def test_a_prompt_is_routed_and_answered_as_a_completion(web: Web) -> None:
    """The labels, headers and usage are a chat's."""
    answer = await ask(web)
    body = answer.json()
    assert body["object"] == "text_completion"
    assert body["id"] == f"cmpl-{body['collegium']['decision']['id']}"
    assert body["model"] == "sql"
    assert body["choices"] == [
        {"index": 0, "text": "hello there", "logprobs": None, "finish_reason": "stop"}
    ]
    assert body["usage"] == {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    assert body["collegium"]["outcome"]["cost_usd"] == (7 * 1.0 + 2 * 2.0) / 1e6
    assert answer.headers["x-collegium-expert"] == "sql"
    assert (await web.outcome(body["collegium"]["decision"]["id"]))["status"] == "ok"


async def test_the_expert_gets_a_chat_with_the_same_wishes(web: Web) -> None:
    """16 tokens, as OpenAI has it, where none are asked for."""
    await ask(web, temperature=0, seed=3, stop=["."], user="me", suffix=None, n=None)
    messages = [{"role": "user", "content": "sql 1"}]
    wishes = {"temperature": 0, "seed": 3, "stop": ["."], "user": "me"}
    (call,) = web.experts["sql"].asked
    assert call.body == {"messages": messages, "max_tokens": 16, **wishes}
    await ask(web, max_tokens=5, logprobs=2)
    assert web.experts["sql"].asked[1].body == {
        **{"messages": messages, "max_tokens": 5, "logprobs": True, "top_logprobs": 2}
    }


async def test_a_stream_has_pieces_of_text(web: Web) -> None:
    """The decision on the first chunk, the outcome on the last, usage where it is wanted."""
    answer = await ask(web, stream=True, stream_options={"include_usage": True})
    *told, last, usage = chunks(answer.text)
    text = "".join(choice["text"] for chunk in [*told, last] for choice in chunk["choices"])
    assert text == "hello there "
    assert {chunk["object"] for chunk in told} == {"text_completion"}
    assert len({chunk["id"] for chunk in (*told, last, usage)}) == 1
    assert told[0]["collegium"]["decision"]["expert"] == "sql"
    assert last["choices"][0]["finish_reason"] == "stop"
    assert last["collegium"]["outcome"]["status"] == "ok"
    assert (usage["choices"], usage["usage"]["total_tokens"]) == ([], 9)


@pytest.mark.parametrize("stream", [False, True])
async def test_the_prompt_is_echoed(web: Web, stream: bool) -> None:
    """Before each answer of a chat."""
    answer = await ask(web, echo=True, stream=stream)
    told = chunks(answer.text) if stream else [answer.json()]
    text = "".join(choice["text"] for chunk in told for choice in chunk["choices"])
    assert text.strip() == "sql 1hello there"


async def test_log_probabilities_become_lists(web: Web) -> None:
    """As completions have them."""
    content = [
        {"token": "hi", "logprob": -0.5, "top_logprobs": [{"token": "yo", "logprob": -2.0}]},
        {"token": " you", "logprob": -0.25, "top_logprobs": []},
    ]
    message = {"role": "assistant", "content": "hi you"}
    web.experts["sql"].choices = [
        {"index": 0, "message": message, "finish_reason": "stop", "logprobs": {"content": content}}
    ]
    (choice,) = (await ask(web, logprobs=1)).json()["choices"]
    assert choice["logprobs"] == {
        "tokens": ["hi", " you"],
        "token_logprobs": [-0.5, -0.25],
        "top_logprobs": [{"yo": -2.0}, {}],
        "text_offset": [0, 2],
    }


async def test_a_panel_completes_too(web: Web) -> None:
    """By the name of its mode."""
    body = (await ask(web, model="collegium/vote")).json()
    assert body["choices"][0]["text"].strip() == "hello there"
    assert body["collegium"]["panel"]["mode"] == "vote"


# --- several prompts ---


async def test_each_prompt_is_routed_by_itself(web: Web) -> None:
    """Choices are numbered as OpenAI numbers them, and all that was spent is told."""
    for name in ("sql", "lists"):
        web.experts[name].choices = [
            {"index": i, "message": {"role": "assistant", "content": f"{name} {i}"}}
            for i in range(2)
        ]
    answer = await ask(web, ["sql 1", "lists 1", "sql 2"], n=2)
    body = answer.json()
    told = [(choice["index"], choice["text"]) for choice in body["choices"]]
    texts = ["sql 0", "sql 1", "lists 0", "lists 1", "sql 0", "sql 1"]
    assert told == list(enumerate(texts))
    assert body["usage"]["total_tokens"] == 27
    labels = body["collegium"]["answers"]
    assert [each["outcome"]["expert"] for each in labels] == ["sql", "lists", "sql"]
    assert answer.headers["x-collegium-cost-usd"] == "0.00002200"
    for each in labels:
        assert (await web.outcome(each["decision"]["id"]))["status"] == "ok"


@pytest.mark.parametrize("stream", [False, True])
async def test_what_was_changed_of_several_prompts_is_told(serve: Serve, stream: bool) -> None:
    """Each change once, and the usage by kind of token."""
    async with serve() as web:
        changes = {"capabilities": {"max_output_tokens": 10}}
        for name in ("sql", "lists", "general"):
            assert (await web.http.patch(f"/v1/experts/{name}", json=changes)).status_code == 200
            web.experts[name].usage = {
                "prompt_tokens": 7,
                "completion_tokens": 2,
                "prompt_tokens_details": {"cached_tokens": 3},
                "completion_tokens_details": {"reasoning_tokens": 1},
            }
        wishes = {"stream": stream, "stream_options": {"include_usage": True}}
        answer = await ask(web, ["sql 1", "lists 1"], max_tokens=50, **wishes)
    assert answer.headers["x-collegium-adjusted"] == "max_tokens=10"
    usage = (chunks(answer.text)[-1] if stream else answer.json())["usage"]
    assert usage == {
        "prompt_tokens": 14,
        "completion_tokens": 4,
        "total_tokens": 18,
        "prompt_tokens_details": {"cached_tokens": 6},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }


async def test_several_answers_are_streamed_together(web: Web) -> None:
    """Under one id, with one usage."""
    usage = {"stream_options": {"include_usage": True}}
    answer = await ask(web, ["sql 1", "lists 1"], stream=True, **usage)
    *told, last = chunks(answer.text)
    texts = {0: "", 1: ""}
    for chunk in told:
        for choice in chunk["choices"]:
            texts[choice["index"]] += choice["text"]
    assert texts == {0: "hello there ", 1: "hello there "}
    assert len({chunk["id"] for chunk in (*told, last)}) == 1
    assert last["usage"] == {"prompt_tokens": 14, "completion_tokens": 4, "total_tokens": 18}


@pytest.mark.parametrize("stream", [False, True])
async def test_the_first_failure_ends_all(web: Web, stream: bool) -> None:
    """Nobody pays for half an answer that is then thrown away."""
    web.experts["sql"].waits = True
    web.experts["lists"].refuses = ExpertError("lists", "broke")
    routing = {"failover": False}
    answer = await ask(web, ["sql 1", "lists 1"], stream=stream, routing=routing)
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "expert_error"
    assert web.experts["sql"].left == 1


# --- by an expert that completes ---


async def test_the_prompt_is_sent_as_it_is(serve: Serve) -> None:
    """With all that only a completion has."""
    async with serve(experts=[BASE]) as web:
        web.experts["base"].native = completed(" upon", logprobs=LISTS)
        wishes = {"echo": True, "logprobs": 1, "max_tokens": 0, "suffix": "!", "top_k": 3}
        body = (await ask(web, "Once", model="base", seed=None, **wishes)).json()
        (call,) = web.experts["base"].asked
        assert call.native is not None
        assert call.native.body == {"prompt": "Once", **wishes}
        assert body["choices"] == [
            {"index": 0, "text": " upon", "logprobs": LISTS, "finish_reason": "length"}
        ]
        assert body["usage"] == USAGE
        assert body["object"] == "text_completion"
        assert "endpoint" not in body
        assert body["collegium"]["outcome"]["cost_usd"] == 5e-6


async def test_its_stream_is_read_as_it_comes(serve: Serve) -> None:
    """Several choices, and what nobody echoes here again."""
    async with serve(experts=[BASE]) as web:
        web.experts["base"].native_chunks = [
            part("On"), part("ce", 1), part("ce", 0, "stop"), part("!", 1, "length"),
            {"choices": [], "usage": USAGE},
        ]  # fmt: skip
        answer = await ask(web, "O", model="base", n=2, echo=True, stream=True)
        found = [choice for chunk in chunks(answer.text) for choice in chunk["choices"]]
    texts = ["".join(c["text"] for c in found if c["index"] == i) for i in (0, 1)]
    assert texts == ["Once", "ce!"]
    reasons = {c["index"]: c["finish_reason"] for c in found if c["finish_reason"]}
    assert reasons == {0: "stop", 1: "length"}


async def test_tokens_are_for_an_expert_by_its_name(serve: Serve) -> None:
    """One prompt of them, or several; they count as they are."""
    async with serve(experts=[BASE]) as web:
        web.experts["base"].native = completed("a")
        for prompt, prompts in (([1, 2, 3], [[1, 2, 3]]), ([[1], [2, 3]], [[1], [2, 3]])):
            web.experts["base"].asked.clear()
            body = (await ask(web, prompt, model="base")).json()
            sent = [call.native.body["prompt"] for call in web.experts["base"].asked if call.native]
            assert sent == prompts
            assert [choice["index"] for choice in body["choices"]] == list(range(len(prompts)))
        words = {"sql": "needs the endpoint /completions", "auto": "by its name in `model`"}
        for model, said in words.items():
            refused = await ask(web, [1, 2, 3], model=model)
            assert refused.status_code == 400
            assert said in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        ({"echo": True, "logprobs": 1}, "`echo` with `logprobs`"),
        ({"max_tokens": 0}, "`max_tokens` of 0"),
        ({"suffix": "end"}, "`suffix`"),
        ({"best_of": 2}, "`best_of`"),
    ],
)
async def test_what_a_chat_can_not_give_goes_to_who_can(
    serve: Serve, wishes: dict[str, Any], words: str
) -> None:
    """Where it is routed; an expert that can't is named, with those that can."""
    async with serve(experts=[BASE]) as web:
        web.experts["base"].native = completed("a")
        assert (await ask(web, **wishes)).json()["model"] == "base"
        error = (await ask(web, model="sql", **wishes)).json()["error"]
    assert words in error["message"]
    assert "these do: base" in error["message"]
    async with serve() as web:
        answer = await ask(web, **wishes)
    assert answer.status_code == 400
    assert "No expert serves it" in answer.json()["error"]["message"]


# --- what is refused ---


@on_shared
@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({}, "prompt", "prompt is missing"),
        ({"prompt": ""}, "prompt", "must not be empty"),
        ({"prompt": []}, "prompt", "not an empty list"),
        (
            {"prompt": 5},
            "prompt",
            "must be a string, an array of tokens, or a list of these, not an integer",
        ),
        ({"prompt": ["a", 5]}, "prompt[1]", "must be a string or tokens, not an integer"),
        ({"prompt": ["a", " "]}, "prompt[1]", "must not be empty"),
        ({"prompt": ["a"] * 129}, "prompt", "at most 128 items"),
        ({"prompt": "a", "temperature": "hot"}, "temperature", "must be a number, not a string"),
        ({"prompt": "a", "max_tokens": -1}, "max_tokens", "must be at least 0, not -1"),
        ({"prompt": "a", "best_of": 1, "n": 2}, "best_of", "at least n, which is 2"),
        ({"prompt": "a", "messages": []}, "messages", "/v1/chat/completions"),
        ({"prompt": "a", "routing": {"max_cost": 1}}, "routing.max_cost", "max_cost_usd"),
        ({"prompt": "a", "model": "gtp"}, "model", "There is no model 'gtp'"),
    ],
    ids=str,
)
async def test_what_is_wrong_is_named(shared: Web, body: Any, param: str, words: str) -> None:
    """As in a chat."""
    answer = await shared.http.post(PATH, json=body)
    error = answer.json()["error"]
    assert 400 <= answer.status_code < 500
    assert error["param"] == param
    assert words in error["message"]


async def test_a_stream_that_breaks_ends_with_an_error(web: Web) -> None:
    """Without the last line."""
    web.experts["sql"].dies = ExpertError("sql", "broke")
    told = events((await ask(web, stream=True)).text)
    assert told[-1]["error"]["code"] == "expert_error"


# --- in bulk ---


async def test_a_job_completes(serve: Serve) -> None:
    """One prompt a line; what a line may not hold is its own error."""
    bodies = {
        "chat": {"model": "sql", "prompt": "sql 1", "echo": True},
        "base": {"model": "base", "prompt": "Once", "logprobs": 1, "echo": True},
        "two": {"model": "sql", "prompt": ["a", "b"]},
        "hot": {"model": "sql", "prompt": "a", "temperature": "hot"},
    }
    lines = [
        json.dumps({"custom_id": name, "method": "POST", "url": PATH, "body": body})
        for name, body in bodies.items()
    ]
    async with serve(experts=[BASE]) as web:
        web.experts["base"].native = completed("Once upon", logprobs=LISTS)
        batch, found = await done(web, lines, endpoint=PATH)
        errors = await results(web, batch["error_file_id"])
    texts = {name: each["body"]["choices"][0]["text"] for name, each in found.items()}
    assert texts == {"chat": "sql 1hello there", "base": "Once upon"}
    words = {e["custom_id"]: e["response"]["body"]["error"]["message"] for e in errors}
    assert words.keys() == {"two", "hot"}
    assert "one prompt" in words["two"]
