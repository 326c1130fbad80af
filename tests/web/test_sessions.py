"""Conversations are known by every usual name, else by their beginning; each caller has its own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from collegium.errors import BadRequest, ExpertUnavailable
from collegium.web.learning.lines import replayed
from collegium.web.protocols.sessions import conversation_of, session_of
from tests.web.conftest import Serve, Web
from tests.web.test_requests import CLOSE

UUID = "8d7ab1c2-0000-4000-8000-1234567890ab"
USER = {"role": "user", "content": "sql 1"}
ANSWER = {"role": "assistant", "content": "SELECT 1"}
NEXT = {"role": "user", "content": "sql 2"}


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        ({"x-session-id": "a", "x-conversation-id": "b"}, {"prompt_cache_key": "c"}, "a"),
        ({"x-conversation-id": "b"}, {"prompt_cache_key": "c"}, "b"),
        ({}, {"prompt_cache_key": "c", "metadata": {"session_id": "d"}}, "c"),
        ({}, {"metadata": {"session_id": "d", "user_id": f"user_1_session_{UUID}"}}, "d"),
        ({}, {"metadata": {"user_id": f"user_9f_account_{UUID}_session_{UUID}"}}, UUID),
        ({}, {"metadata": {"user_id": json.dumps({"session_id": UUID})}}, UUID),
        ({}, {"metadata": {"user_id": "{broken"}}, None),
        ({}, {"metadata": {"user_id": "somebody"}, "user": "somebody"}, None),
        ({}, {"metadata": ["session_id"], "prompt_cache_key": 5}, None),
        ({"x-session-id": ""}, {"prompt_cache_key": " "}, None),
        ({}, {}, None),
    ],
)
def test_where_a_conversations_name_is_looked_for(
    headers: dict[str, str], body: dict[str, Any], expected: str | None
) -> None:
    """In this order; what names a person is none."""
    assert session_of(headers, body) == expected


def test_a_response_that_is_gone_on_from_names_a_conversation() -> None:
    """After a cache key, before metadata."""
    body = {"metadata": {"session_id": "d"}}
    assert session_of({}, body, "resp:1") == "resp:1"
    assert session_of({}, body | {"prompt_cache_key": "c"}, "resp:1") == "c"


def test_names_are_bounded() -> None:
    """Those of headers are refused, for people set them; others are shortened to a digest."""
    with pytest.raises(BadRequest, match="x-conversation-id has more than 128"):
        session_of({"x-conversation-id": "x" * 129}, {})
    short = session_of({}, {"prompt_cache_key": "x" * 100_000})
    assert short is not None
    assert len(short) < 40
    assert short != session_of({}, {"prompt_cache_key": "y" * 100_000})


def beginning(
    *messages: dict[str, Any], caller: str | None = "me", background: bool = False
) -> Any:
    """Where a conversation without a name is remembered."""
    return conversation_of(messages, None, background=background, caller=caller)


def test_a_conversation_without_a_name_is_known_by_its_beginning() -> None:
    """From its second turn on, each caller for itself."""
    system = {"role": "system", "content": "Be brief."}
    first, second = beginning(system, USER), beginning(system, USER, ANSWER, NEXT)
    assert first.key == second.key
    assert (first.known, second.known) == (False, True)
    assert beginning(USER, ANSWER, NEXT).key != first.key
    assert beginning(system, USER, caller="you").key != first.key
    assert beginning(system, USER, caller=None) is None
    assert beginning(ANSWER) is None


def test_a_background_job_is_no_turn_of_a_conversation() -> None:
    """Unless it holds the conversation, to sum it up; it never takes the conversation over."""
    assert conversation_of([USER], "chat-1", background=True, caller="me") is None
    summary = conversation_of([USER, ANSWER, NEXT], "chat-1", background=True, caller="me")
    assert summary is not None
    assert (summary.key, summary.known, summary.kept) == ("chat-1", True, False)


async def route(web: Web, *messages: Any, **more: Any) -> Any:
    """Decide, without an answer."""
    headers = more.pop("headers", {})
    body = {"messages": messages, **more}
    return (await web.http.post("/v1/route", json=body, headers=headers)).json()


async def test_a_second_turn_stays_with_the_expert_of_the_first(serve: Serve) -> None:
    """Without a name for it; a first turn that looks the same is not held to it."""
    async with serve(experts=[CLOSE]) as web:
        await web.chat("sql 1", model="close")
        kept = await route(web, USER, ANSWER, NEXT)
        assert (kept["expert"], kept["policy"]) == ("close", "session")
        assert kept["conversation"] == "stays: gain too small; keeps 4 cached tokens"
        assert (await route(web, USER))["policy"] == "quality"
        other = {"role": "user", "content": "sql 3"}
        assert (await route(web, other, ANSWER, NEXT))["expert"] == "sql"


@pytest.mark.parametrize(
    "named",
    [
        {"headers": {"x-conversation-id": "one"}},
        {"prompt_cache_key": "one"},
        {"metadata": {"session_id": "one"}},
        {"metadata": {"user_id": f"user_1_account__session_{UUID}"}},
    ],
)
async def test_every_name_keeps_a_conversation_together(serve: Serve, named: Any) -> None:
    """Whatever its messages are."""
    async with serve(experts=[CLOSE]) as web:
        body = {"messages": [USER], "model": "close"} | named
        headers = body.pop("headers", {})
        await web.http.post("/v1/chat/completions", json=body, headers=headers)
        assert (await route(web, NEXT, **named))["expert"] == "close"
        assert (await route(web, NEXT))["expert"] == "sql"


async def test_whoever_answers_instead_keeps_the_conversation(serve: Serve) -> None:
    """Its cache is where the answer came from."""
    async with serve(experts=[CLOSE]) as web:
        web.experts["sql"].refuses = ExpertUnavailable("sql", "away")
        web.experts["sql"].recovers = 1
        answer = await web.chat("sql 1")
        assert answer.headers["x-collegium-expert"] == "close"
        assert (await route(web, USER, ANSWER, NEXT))["expert"] == "close"


async def test_a_tools_result_goes_to_who_asked_for_it(serve: Serve) -> None:
    """Whatever the question looks like; an expert that is disabled does not get it."""
    async with serve() as web:
        asked = {"messages": [USER], "model": "general", "prompt_cache_key": "k"}
        await web.http.post("/v1/chat/completions", json=asked)
        call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        turn = {"role": "assistant", "content": None, "tool_calls": [call]}
        result = {"role": "tool", "tool_call_id": "1", "content": "4"}
        stays = await route(web, USER, turn, result, prompt_cache_key="k")
        assert (stays["expert"], stays["conversation"][:19]) == ("general", "stays: tool results")
        assert "it asked for the tool's result" in stays["reason"]
        denied = {"experts_deny": ["general"]}
        moved = await route(web, USER, turn, result, prompt_cache_key="k", routing=denied)
        assert moved["expert"] == "sql"


async def test_a_correction_lowers_the_belief_in_an_expert(web: Web) -> None:
    """The reason and the header say so, and the session does not come back to it."""
    await web.chat("sql 1", prompt_cache_key="k")
    wrong = {"role": "user", "content": "no, that is wrong"}
    messages = [USER, ANSWER, wrong, ANSWER, wrong]
    body = {"messages": messages, "prompt_cache_key": "k"}
    left = await web.http.post("/v1/chat/completions", json=body)
    assert left.headers["x-collegium-expert"] == "general"
    assert left.headers["x-collegium-conversation"] == "leaves sql: the user says that it is wrong"
    reason = left.json()["collegium"]["decision"]["reason"]
    assert "In this conversation sql seems to be stuck (the user says that it is wrong)" in reason
    after = await route(web, *messages, ANSWER, NEXT, prompt_cache_key="k")
    assert after["expert"] == "general"
    assert (await route(web, NEXT))["expert"] == "sql"


async def test_the_same_again_is_a_sign_that_it_was_no_good(web: Web) -> None:
    """A user lets the answer be made again, twice."""
    body = {"messages": [USER, ANSWER, NEXT], "prompt_cache_key": "k"}
    names = []
    for _ in range(3):
        answer = await web.http.post("/v1/chat/completions", json=body)
        names.append(answer.headers["x-collegium-expert"])
    assert names == ["sql", "sql", "general"]


TITLE = (
    "### Task:\nGenerate a concise, 3-5 word title with an emoji summarizing the chat history.\n"
    "<chat_history>\nUSER: {}\nASSISTANT: SELECT 1\n</chat_history>"
)


async def test_a_title_goes_to_a_general_expert_and_leaves_the_chat_alone(web: Web) -> None:
    """Never to the specialist of the chat that it quotes, also with the chat's own session."""
    await web.chat("sql 1", prompt_cache_key="chat-1")
    job = {"role": "user", "content": TITLE.format("sql 1")}
    told = await route(web, job, prompt_cache_key="chat-1")
    assert (told["expert"], told["application"]) == ("general", "background-title")
    await web.http.post(
        "/v1/chat/completions", json={"messages": [job], "prompt_cache_key": "chat-1"}
    )
    goes_on = await route(web, USER, ANSWER, NEXT, prompt_cache_key="chat-1")
    assert goes_on["expert"] == "sql"


async def test_a_job_that_a_system_prompt_asks_for_is_one_too(web: Web) -> None:
    """As agents send them: the user's message is what they are about."""
    system = {"role": "system", "content": "Analyze if this message indicates a new conversation "
              "topic. If it does, extract a 2-3 word title."}  # fmt: skip
    told = await route(web, system, USER)
    assert (told["expert"], told["application"]) == ("general", "background-topic")


async def test_an_agents_reminders_do_not_decide(web: Web) -> None:
    """The question does, wherever it stands between them."""
    around = "<system-reminder>\nlists of lists\n</system-reminder>\n"
    told = await route(web, {"role": "user", "content": f"{around}sql 1\n{around}"})
    assert told["expert"] == "sql"


@pytest.mark.parametrize(
    "messages",
    [
        [USER, ANSWER, {"role": "user", "content": "and backwards?"}],
        [USER, ANSWER, {"role": "user", "content": "什么是光合作用"}],
        [{"role": "user", "content": TITLE.format("sql 1")}],
        [{"role": "user", "content": "<system-reminder>lists</system-reminder>sql 1"}],
    ],
)
async def test_what_is_served_is_what_learning_replays(web: Web, messages: list[Any]) -> None:
    """The same text is routed on, and the same expert chosen."""
    body = {"messages": messages}
    answer = (await web.http.post("/v1/chat/completions", json=body)).json()
    decision = answer["collegium"]["decision"]
    kept = (await web.http.get(f"/v1/decisions/{decision['id']}")).json()["decision"]
    query = replayed(body).query
    assert kept["prompt"] == query.text
    experts = await web.parts.catalogue.now()
    query = web.parts.recognition.recognised(query, experts)
    again = await web.parts.router.get().decide(query, experts, lambda _: None)
    assert (again.expert, again.confidence) == (decision["expert"], decision["confidence"])


async def test_a_sessions_state_of_an_older_version_is_read(web: Web) -> None:
    """It was the expert's name alone."""
    await web.parts.state.put("session::k", "general", 60)
    kept = await route(web, {"role": "user", "content": "poems"}, prompt_cache_key="k")
    assert kept["conversation"].startswith("stays")
