"""Numbers and shapes that nobody should send: no answer is a 500, and nobody else notices."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collegium.errors import BadRequest
from collegium.experts.bulk.lines import BadLine, Line, read_line
from collegium.experts.clients.openai_shape import usage_of
from collegium.json_bounds import MOST_DEPTH, excess
from collegium.registry.state import MemoryState
from collegium.web.batch import job
from collegium.web.batch.plan import parsed_of
from tests.web.bulk import ended, submitted
from tests.web.conftest import Web, on_shared
from tests.web.panels import ask

QUESTION = [{"role": "user", "content": "sql 1"}]
BIG = 10**30
EXPERTS = ("sql", "lists", "general")
MODES = ["first", "vote", "best_of_n", "moa", "self_moa", "nominal_group", "cascade"]
USAGES: list[Any] = [
    {"prompt_tokens": BIG, "completion_tokens": 2},
    {"prompt_tokens": 7, "completion_tokens": -2},
    {"prompt_tokens": float("nan"), "completion_tokens": float("inf")},
    {"prompt_tokens": "7", "completion_tokens": [2]},
    {"prompt_tokens": True, "completion_tokens": None},
    {"total_tokens": 9},
    {},
    {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": BIG, "cost": "1e308"},
]
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([BIG, -BIG, 1e308, "\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
fuzzed = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("usage", USAGES)
async def test_a_usage_that_can_not_be_is_counted_here(web: Web, usage: Any, stream: bool) -> None:
    """The answer is good, and recorded with an estimate."""
    web.experts["sql"].usage = usage
    answer = await web.chat("sql 1", stream=stream, stream_options={"include_usage": True})
    assert answer.status_code == 200
    assert "server_error" not in answer.text
    outcome = await web.outcome(answer.headers["x-collegium-decision-id"])
    assert outcome["status"] == "ok"
    assert 0 <= outcome["prompt_tokens"] < 1000
    assert 0 <= outcome["completion_tokens"] < 1000


@pytest.mark.parametrize("mode", MODES)
async def test_no_panel_fails_for_what_a_member_counts(web: Web, mode: str) -> None:
    """Each member counts another nonsense."""
    for expert, usage in zip(("sql", "lists", "general"), USAGES[:3], strict=True):
        web.experts[expert].usage = usage
    answer = await ask(web, mode)
    assert answer.status_code == 200, answer.text


async def test_one_upstreams_nonsense_costs_nobody_elses_outcome(web: Web) -> None:
    """Of forty answers at once all are recorded."""
    web.experts["lists"].usage = {"prompt_tokens": BIG, "completion_tokens": BIG}
    texts = [f"{('sql', 'lists')[n % 2]} 1" for n in range(40)]
    ids = [(await web.chat(t)).headers["x-collegium-decision-id"] for t in texts]
    assert {(await web.outcome(decision))["status"] for decision in ids} == {"ok"}


messages = st.dictionaries(
    st.sampled_from(["content", "tool_calls", "reasoning", "x"]), json_values
)
choices = st.fixed_dictionaries(
    {"message": messages | json_values, "delta": messages | json_values},
    optional={n: json_values for n in ("index", "finish_reason", "logprobs", "x")},
)


@on_shared
@fuzzed
@given(told=st.lists(choices, max_size=2), mode=st.sampled_from(["", *MODES]))
async def test_no_shape_of_an_upstreams_answer_is_a_500(shared: Web, told: Any, mode: str) -> None:
    """Whatever comes: an answer, or the expert's failure."""
    for name in EXPERTS:
        shared.experts[name].choices = told
        shared.experts[name].chunks = [{"choices": told}, {"choices": told}]
    try:
        answers = [
            await shared.chat("sql 1", model=f"collegium/{mode}" if mode else "sql", stream=stream)
            for stream in (False, True)
        ]
    finally:
        for name in EXPERTS:
            shared.experts[name].choices = shared.experts[name].chunks = None
            shared.experts[name].asked.clear()
        close_circuits(shared)
    assert {answer.status_code for answer in answers} <= {200, 502, 503}
    assert not [answer.text for answer in answers if "unexpected" in answer.text]


@pytest.mark.parametrize("told", [None, 5, "x", [], [1], {"prompt_tokens": BIG}])
def test_what_is_no_usage_is_none(told: Any) -> None:
    """Then tokens are estimated."""
    assert usage_of(told) is None


def close_circuits(web: Web) -> None:
    """Let experts be asked again that failed: others share this service."""
    for breakers in (web.parts.pool.dispatcher._shared, web.parts.pool.dispatcher._own):
        breakers._copies.clear()
        breakers._state = MemoryState()


# --- from callers ---


@on_shared
@fuzzed
@given(
    body=st.dictionaries(
        st.sampled_from(
            [
                "seed",
                "n",
                "max_tokens",
                "temperature",
                "stop",
                "tools",
                "x",
                "metadata",
                "routing",
                "response_format",
                "logprobs",
                "stream_options",
                "model",
            ]
        ),
        json_values,
    )
)
async def test_no_field_of_a_caller_is_a_500(shared: Web, body: Any) -> None:
    """It is refused, or it is answered."""
    body = {"messages": [{"role": "user", "content": "sql 1"}], **body}
    content = json.dumps(body)
    headers = {"content-type": "application/json"}
    answer = await shared.http.post("/v1/chat/completions", content=content, headers=headers)
    for name in EXPERTS:
        shared.experts[name].asked.clear()
    assert answer.status_code < 500, (content, answer.text)


def nested(depth: int) -> str:
    """A value so deep."""
    return "[" * depth + "]" * depth


@on_shared
@pytest.mark.parametrize("depth", [MOST_DEPTH, 900, 1900])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", '{"messages": [{"role": "user", "content": "a"}], "x": %s}'),
        ("/v1/route", '{"messages": [{"role": "user", "content": [{"text": "a", "x": %s}]}]}'),
        ("/v1/experts", '{"name": "p", "like": "sql", "with": {"x": %s}}'),
        ("/v1/batches", '{"input_file_id": %s}'),
    ],
)
async def test_what_is_nested_deeply_is_refused(
    shared: Web, path: str, body: str, depth: int
) -> None:
    """In our words, on every route that reads JSON."""
    headers = {"content-type": "application/json"}
    answer = await shared.http.post(path, content=body % nested(depth), headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_json"
    assert "nested more than 100 deep" in answer.json()["error"]["message"]


ONES = ",".join(["1"] * 49_000)
HELLO = '{"messages": [{"role": "user", "content": "a"}]'


@on_shared
@pytest.mark.parametrize(
    "body",
    [
        f'{{"messages": [{",".join(["1"] * 1_000_000)}]}}',
        f'{{"messages": [{ONES}]}}',
        f'{{"messages": [{{"role": "user", "content": [{ONES}]}}]}}',
        f'{HELLO}, "routing": {json.dumps(dict.fromkeys(map(str, range(49_000)), 1))}}}',
        f'{HELLO}, "stop": [{ONES}]}}',
        "[" * 1_000_000,
        '"' * 1_000_000,
        '{"messages": "' + '\\"' * 500_000,
    ],
    ids=["messages", "fewer", "parts", "unknown", "stops", "brackets", "quotes", "unterminated"],
)
async def test_a_million_mistakes_are_refused_soon_and_in_few_words(shared: Web, body: str) -> None:
    """A few kilobytes of answer, a fraction of a second: it holds up everybody else."""
    headers = {"content-type": "application/json"}
    before = time.process_time()
    answer = await shared.http.post("/v1/chat/completions", content=body, headers=headers)
    took = time.process_time() - before
    assert answer.status_code == 400
    assert len(answer.content) < 5000
    assert took < 0.25


async def test_a_refused_change_changes_nothing(web: Web) -> None:
    """And what could not be shown again is refused."""
    before = (await web.http.get("/v1/experts")).json()
    for change in (
        '{"description": "\\ud800"}',
        '{"skills": {"\\ud800": 0.5}}',
        '{"input_price": 1e308}',
        '{"parameters_b": 1e308}',
        json.dumps({"tags": [str(n) for n in range(1001)]}),
        json.dumps({"context_window": BIG}),
        '{"skills": {"sql": NaN}}',
    ):
        headers = {"content-type": "application/json"}
        answer = await web.http.patch("/v1/experts/sql", content=change, headers=headers)
        assert answer.status_code == 400, change
    assert (await web.http.get("/v1/experts")).json() == before
    assert (await web.http.get("/v1/models")).status_code == 200


def test_brackets_and_commas_in_texts_are_no_values() -> None:
    """A prompt may be a program."""
    assert excess(json.dumps({"content": '[{,\\"' * 100_000}).encode(), 10) is None
    assert excess(b'{"a": [1, 2, 3]}', 2) is None  # a small body need not be counted
    assert excess(json.dumps([0] * 200).encode(), 100) == "it has more than 100 values"


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"custom_id": "a", "x": [0] * 60_000}),
        '{"custom_id": "a", "body": ' + nested(1000) + "}",
        json.dumps({"custom_id": "a", "method": "POST" * 10_000}),
        json.dumps({f"field-{n}": 1 for n in range(40_000)} | {"custom_id": "a"}),
        " " * (9 << 20) + "{}",
    ],
    ids=["values", "nested", "method", "fields", "long"],
)
def test_a_line_of_a_job_has_the_bounds_of_a_request(text: str) -> None:
    """Said in few words."""
    line = read_line(1, text.encode(), "/v1/chat/completions")
    assert isinstance(line, BadLine)
    assert len(line.message) <= 1000


def test_a_lines_many_problems_are_counted() -> None:
    """Not told one by one."""
    routing = {f"field-{n}": 1 for n in range(1000)}
    with pytest.raises(BadRequest, match="1000 problems"):
        parsed_of(
            Line(1, "a", {"messages": [{"role": "user", "content": "a"}], "routing": routing})
        )


async def test_a_job_of_too_many_lines_fails_before_all_are_read(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred megabytes of short lines would be gigabytes of objects."""
    monkeypatch.setattr(job, "MOST_LINES", 3)
    found = await ended(web, await submitted(web, ["{}"] * 50))
    assert found["status"] == "failed"
    assert found["errors"]["data"][0]["code"] == "too_many_lines"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "sql \ud83d"}]}),
        (
            "/v1/chat/completions",
            {
                "model": "collegium/balanced",
                "prompt_cache_key": "\ud83d",
                "messages": [{"role": "user", "content": "sql \ud83d"}],
            },
        ),
        ("/v1/responses", {"input": "sql \ud83d", "instructions": "\ud83d"}),
        (
            "/v1/messages",
            {"model": "sql", "max_tokens": 9, "messages": [{"role": "user", "content": "\ud83d"}]},
        ),
        ("/v1/completions", {"prompt": "sql \ud83d"}),
        ("/v1/chat/completions", {"messages": QUESTION, "routing": {"experts_deny": ["\ud800"]}}),
        (
            "/v1/chat/completions",
            {"messages": QUESTION, "routing": {"require": {"tags": ["\ud800"]}}},
        ),
        ("/v1/responses", {"input": [{"type": "item_reference", "id": "msg_\ud800"}]}),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_half_a_pair_is_no_500(
    web: Web, path: str, body: dict[str, Any], stream: bool
) -> None:
    """JavaScript's clients send it where they cut a text in the middle of an emoji."""
    data = json.dumps({**body, "stream": stream})
    headers = {"content-type": "application/json"}
    answer = await web.http.post(path, content=data.encode(), headers=headers)
    assert answer.status_code < 500, answer.text
    assert "internal_error" not in answer.text
