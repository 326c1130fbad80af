"""Panels whose members fail, answer strangely or cost too much."""

from __future__ import annotations

from typing import Any

import pytest

from collegium.errors import ExpertUnavailable
from tests.web.conftest import Web
from tests.web.fakes import delta
from tests.web.panels import NAMES, TOOLS, ask
from tests.web.reading import chunks, events


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_too_few_answers_are_no_panels_answer(web: Web, stream: bool) -> None:
    """An HTTP error of a whole answer; of a stream, which tells who began, an error event."""
    web.experts["general"].refuses = ExpertUnavailable("general", "is out of order")
    response = await ask(web, "vote", stream=stream, k=2, panel={"quorum": 2})
    if stream:
        assert response.status_code == 200
        error = events(response.text)[-1]["error"]
    else:
        assert response.status_code == 502
        error = response.json()["error"]
    assert error["code"] == "quorum_missed"
    assert "out of order" in error["message"]


async def test_a_panel_of_which_everybody_fails_raises_the_first_error(web: Web) -> None:
    """With its status and when to come again."""
    for name in NAMES:
        web.experts[name].refuses = ExpertUnavailable(name, "is down", retry_after_s=7)
    response = await ask(web, "vote", k=2)
    assert (response.status_code, response.headers["retry-after"]) == (503, "7")


LONG = {"prompt_tokens": 7, "completion_tokens": 1_000_000, "total_tokens": 1_000_007}
"""What nobody forecast: two dollars of `sql`, ten of `general`."""


async def test_a_panel_that_has_spent_its_budget_asks_nobody_else(web: Web) -> None:
    """Who is left is dropped, and the answer is what there is."""
    web.experts["sql"].usage = LONG
    routing: Any = {"k": 3, "max_cost_usd": 0.5, "panel": {"threshold": 1.0}}
    labels = (await ask(web, "cascade", **routing)).json()["collegium"]
    assert labels["outcome"]["cost_usd"] == pytest.approx(2.0 + 7e-6)
    assert web.experts["general"].asked == []


async def test_a_spent_budget_that_leaves_nobody_is_refused(web: Web) -> None:
    """The second layer's calls are not made."""
    web.experts["sql"].usage = LONG
    routing: Any = {"k": 2, "max_cost_usd": 0.5, "panel": {"layers": 2, "aggregator": "lists"}}
    response = await ask(web, "moa", **routing)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (422, "budget_spent")
    assert error["param"] == "routing.max_cost_usd"
    assert "are spent" in error["message"]
    assert len(web.experts["sql"].asked) == 1


async def test_a_vote_on_tool_calls_stays_a_tool_call(web: Web) -> None:
    """Equal arguments are equal votes, however they are written."""
    for name, arguments in (("sql", '{"x": 1}'), ("general", '{ "x":1 }')):
        function = {"name": "find", "arguments": arguments}
        call = {"index": 0, "id": "1", "type": "function", "function": function}
        web.experts[name].chunks = [delta({"tool_calls": [call]}), delta({}, "tool_calls")]
    fields = {"model": "collegium/vote", "tools": TOOLS, "routing": {"k": 2}}
    answer = (await web.chat("sql 1", **fields)).json()
    (choice,) = answer["choices"]
    assert choice["message"]["tool_calls"][0]["function"]["arguments"] == '{"x": 1}'
    assert choice["finish_reason"] == "tool_calls"
    assert len(answer["collegium"]["panel"]["chosen"]["groups"]) == 1
    streamed = chunks((await web.chat("sql 1", stream=True, **fields)).text)
    pieces = [t for c in streamed for t in c["choices"][0]["delta"].get("tool_calls", [])]
    assert pieces[0]["function"]["arguments"] == '{"x": 1}'
    assert pieces[0]["index"] == 0


@pytest.mark.parametrize("mode", ["vote", "moa", "cascade", "first", "best_of_n", "self_moa"])
@pytest.mark.parametrize(
    "strange",
    [
        {"logprobs": [1, 2]},
        {"logprobs": {"content": 5}},
        {"logprobs": {"content": ["a"]}},
        {"logprobs": {"content": [{"token": "a", "logprob": "x"}]}},
        {"logprobs": {"content": [{"token": "a", "logprob": 1e9}]}},
    ],
    ids=str,
)
async def test_log_probabilities_of_another_shape_end_no_panel(
    web: Web, mode: str, strange: Any
) -> None:
    """They count as not told."""
    for name in NAMES:
        message = {"role": "assistant", "content": "hello"}
        choice = {"index": 0, "message": message, "finish_reason": "stop", **strange}
        web.experts[name].choices = [choice]
        web.experts[name].chunks = [{"choices": [{"index": 0, "delta": message, **strange}]}]
    answer = (await ask(web, mode)).json()
    assert answer["choices"][0]["message"]["content"] == "hello"


async def test_a_check_reads_only_log_probabilities_that_are_some(web: Web) -> None:
    """Of others the word itself is taken."""
    for name in NAMES:
        tops = [{"token": "yes", "logprob": None}, {"token": "no"}, "yes"]
        content = [{"token": "yes", "logprob": -0.1, "top_logprobs": tops}]
        choice = {"index": 0, "delta": {"content": "yes"}, "logprobs": {"content": content}}
        web.experts[name].chunks = [{"choices": [choice]}, delta({}, "stop")]
    answer = (await ask(web, "best_of_n", panel={"by": "self"})).json()
    assert set(answer["collegium"]["panel"]["chosen"]["scores"].values()) == {1.0}


async def test_arguments_that_are_an_object_are_a_vote_too(web: Web) -> None:
    """Equal to those of whoever writes the object's JSON."""
    for name, arguments in (("sql", {"x": 1}), ("general", '{"x": 1}')):
        call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}}
        web.experts[name].message = {"content": None, "tool_calls": [call]}
        web.experts[name].chunks = [delta({"tool_calls": [{**call, "index": 0}]})]
    answer = (await web.chat("sql 1", model="collegium/vote", routing={"k": 2})).json()
    (call,) = answer["choices"][0]["message"]["tool_calls"]
    assert call["function"]["arguments"] in ({"x": 1}, '{"x": 1}')
    assert len(answer["collegium"]["panel"]["chosen"]["groups"]) == 1
