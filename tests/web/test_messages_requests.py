"""POST /v1/messages: what experts are asked for, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.web.conftest import Web, on_shared
from tests.web.messages import Json, ask, asking, error_of, message

PIXEL = "iVBORw0KGgo="
TOOL = {"name": "look", "description": "Looks.", "input_schema": {"properties": {}}}
PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}


async def asked(web: Web, content: Any = "sql 1", **fields: Any) -> Json:
    """What the expert was sent."""
    await message(web, content, model="sql", **fields)
    return dict(web.experts["sql"].asked[-1].body)


async def conversation(web: Web, *turns: tuple[str, Any], **fields: Any) -> list[Json]:
    """The chat messages that the expert was sent."""
    messages = [{"role": role, "content": content} for role, content in turns]
    found = await asked(web, messages=messages, **fields)
    return list(found["messages"])


@on_shared
async def test_plain_fields(shared: Web) -> None:
    """By the names that chat completions have for them."""
    found = await asked(
        shared,
        system="Be brief.",
        stop_sequences=["END"],
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        metadata={"user_id": "user-1"},
        service_tier="auto",
    )
    assert found == {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "sql 1"},
        ],
        "max_tokens": 100,
        "stop": ["END"],
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40,
        "user": "user-1",
    }


@on_shared
async def test_a_system_prompt_in_blocks(shared: Web) -> None:
    """Is one text; Claude Code's billing header is no instruction, and changes each time."""
    system = [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.0; cch=a1b2c;"},
        {"type": "text", "text": "You are helpful.", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "Be brief."},
    ]
    first, _ = (await asked(shared, system=system))["messages"]
    assert first == {"role": "system", "content": "You are helpful.\nBe brief."}


@on_shared
async def test_images_and_documents(shared: Web) -> None:
    """As the parts that chat completions have."""
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
    text = {"type": "text", "media_type": "text/plain", "data": "a page"}
    found = await asked(
        shared,
        [
            {"type": "text", "text": "sql 1"},
            PNG,
            {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}},
            {"type": "document", "source": pdf, "title": "a.pdf"},
            {"type": "document", "source": text, "title": "B"},
            {"type": "document", "source": {"type": "content", "content": "inside"}},
            {
                "type": "search_result",
                "title": "T",
                "source": "https://x.test",
                "content": [{"type": "text", "text": "found"}],
            },
        ],
    )
    (said,) = found["messages"]
    assert said["content"] == [
        {"type": "text", "text": "sql 1"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
        {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}},
        {
            "type": "file",
            "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="},
        },
        {"type": "text", "text": "B"},
        {"type": "text", "text": "a page"},
        {"type": "text", "text": "inside"},
        {"type": "text", "text": "T\nhttps://x.test\nfound"},
    ]


@on_shared
async def test_a_tool_loop(shared: Web) -> None:
    """Results follow their calls; their images and what else is said come after all of them."""
    found = await conversation(
        shared,
        ("user", "sql 1"),
        (
            "assistant",
            [
                {"type": "text", "text": "Let me "},
                {"type": "text", "text": "see."},
                {"type": "tool_use", "id": "t1", "name": "look", "input": {"at": "ä"}},
                {"type": "tool_use", "id": "t2", "name": "look", "input": {}},
            ],
        ),
        (
            "user",
            [
                {"type": "tool_result", "tool_use_id": "t1", "content": [PNG]},
                {
                    "type": "tool_result",
                    "tool_use_id": "t2",
                    "content": [{"type": "text", "text": "no file"}],
                    "is_error": True,
                },
                {"type": "text", "text": "go on"},
            ],
        ),
        tools=[TOOL],
    )
    assert found[1:] == [
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [
                {
                    "id": "t1",
                    "type": "function",
                    "function": {"name": "look", "arguments": '{"at": "ä"}'},
                },
                {"id": "t2", "type": "function", "function": {"name": "look", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "t1", "content": ""},
        {"role": "tool", "tool_call_id": "t2", "content": "Error:\nno file"},
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
                {"type": "text", "text": "go on"},
            ],
        },
    ]


@on_shared
async def test_a_call_alone_has_no_text(shared: Web) -> None:
    """As servers want it."""
    used = {"type": "tool_use", "id": "t1", "name": "look", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": "here"}
    found = await conversation(
        shared, ("user", "sql 1"), ("assistant", [used]), ("user", [result]), tools=[TOOL]
    )
    assert found[1]["content"] is None
    assert found[2] == {"role": "tool", "tool_call_id": "t1", "content": "here"}


@on_shared
async def test_consecutive_turns_and_reminders_are_one(shared: Web) -> None:
    """Many chat templates want turns to alternate, and allow one system message, the first."""
    found = await conversation(
        shared,
        ("user", "sql 1"),
        ("user", "and more"),
        ("system", "Today is Sunday."),
        ("assistant", "yes"),
        ("system", "x-anthropic-billing-header: a"),
        ("user", "sql 2"),
    )
    assert found == [
        {
            "role": "user",
            "content": "sql 1\nand more\n<system-reminder>\nToday is Sunday.\n</system-reminder>",
        },
        {"role": "assistant", "content": "yes"},
        {"role": "user", "content": "sql 2"},
    ]


@on_shared
async def test_what_only_claude_takes_is_kept_apart(shared: Web) -> None:
    """No strict server sees thinking blocks or marks of a cache; LiteLLM gets them for Claude."""
    mark = {"cache_control": {"type": "ephemeral"}}
    signed = {"type": "thinking", "thinking": "hm", "signature": "s"}
    unsigned = {"type": "thinking", "thinking": "hm", "signature": ""}
    hidden = {"type": "redacted_thinking", "data": "d"}
    used = {"type": "tool_use", "id": "t1", "name": "look", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": "here", **mark}
    found = await conversation(
        shared,
        ("user", [{"type": "text", "text": "sql 1", **mark}]),
        ("assistant", [unsigned, signed, hidden, used]),
        ("user", [result]),
        tools=[{**TOOL, **mark}],
        system=[{"type": "text", "text": "Be brief.", **mark}],
        thinking={"type": "enabled", "budget_tokens": 2000},
    )
    call = shared.experts["sql"].asked[-1]
    sent = json.dumps(dict(call.body))
    assert "cache_control" not in sent
    assert "thinking" not in sent
    assert [m["role"] for m in found] == ["system", "user", "assistant", "tool"]
    assert call.native is not None
    assert call.native.rich is not None
    rich = call.native.rich()
    system, user, assistant, tool = rich["messages"]
    assert system["content"] == [{"type": "text", "text": "Be brief.", **mark}]
    assert user["content"] == [{"type": "text", "text": "sql 1", **mark}]
    assert assistant["thinking_blocks"] == [signed, hidden]
    assert tool["cache_control"] == mark["cache_control"]
    assert rich["tools"][0]["cache_control"] == mark["cache_control"]
    assert rich["thinking"] == {"type": "enabled", "budget_tokens": 2000}


@on_shared
@pytest.mark.parametrize(
    ("fields", "effort"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "low"),
        ({"thinking": {"type": "enabled", "budget_tokens": 10_000}}, "medium"),
        ({"thinking": {"type": "enabled", "budget_tokens": 31_999}}, "high"),
        ({"thinking": {"type": "adaptive"}}, None),
        ({"thinking": {"type": "disabled"}}, None),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}}, "medium"),
        ({"output_config": {"effort": "max"}}, "high"),
    ],
)
async def test_how_much_to_think(shared: Web, fields: Json, effort: str | None) -> None:
    """A budget is an effort, which chat completions have."""
    assert (await asked(shared, **fields)).get("reasoning_effort") == effort


@on_shared
async def test_tools(shared: Web) -> None:
    """As functions, whose schema is that of an object."""
    found = await asked(shared, tools=[{**TOOL, "strict": True, "type": "custom"}])
    parameters = {"type": "object", "properties": {}}
    function = {"name": "look", "parameters": parameters, "description": "Looks.", "strict": True}
    assert found["tools"] == [{"type": "function", "function": function}]
    assert "tool_choice" not in found


@on_shared
@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        ({"type": "auto"}, {"tool_choice": "auto"}),
        ({"type": "any"}, {"tool_choice": "required"}),
        ({"type": "none"}, {"tool_choice": "none"}),
        (
            {"type": "tool", "name": "look"},
            {"tool_choice": {"type": "function", "function": {"name": "look"}}},
        ),
        (
            {"type": "auto", "disable_parallel_tool_use": True},
            {"tool_choice": "auto", "parallel_tool_calls": False},
        ),
    ],
)
async def test_which_tool_to_call(shared: Web, choice: Json, wanted: Json) -> None:
    """By the words of chat completions."""
    found = await asked(shared, tools=[TOOL], tool_choice=choice)
    assert {k: found.get(k) for k in wanted} == wanted


@on_shared
async def test_a_schema_for_the_answer(shared: Web) -> None:
    """Is the response's format."""
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    given = {"format": {"type": "json_schema", "schema": schema}}
    found = await asked(shared, output_config=given)
    assert found["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": schema},
    }


@on_shared
async def test_unknown_fields_are_for_experts_that_speak_the_protocol(shared: Web) -> None:
    """Betas add fields; chat completions don't have them."""
    edits = {"context_management": {"edits": [{"type": "clear_thinking_20251015"}]}}
    found = await asked(shared, **edits)
    assert found.keys() == {"messages", "max_tokens"}
    native = shared.experts["sql"].asked[-1].native
    assert native is not None
    assert native.body["context_management"] == edits["context_management"]
    assert native.body.keys().isdisjoint({"model", "routing", "stream"})


@on_shared
async def test_betas_go_with_the_request(shared: Web) -> None:
    """For experts that speak the protocol; too many are refused."""
    headers = {"anthropic-beta": "interleaved-thinking-2025-05-14", "anthropic-version": "x"}
    body = asking("sql 1", model="sql")
    answer = await shared.http.post("/v1/messages?beta=true", json=body, headers=headers)
    assert answer.status_code == 200
    native = shared.experts["sql"].asked[-1].native
    assert native is not None
    assert native.headers == {"anthropic-beta": "interleaved-thinking-2025-05-14"}
    headers = {"anthropic-beta": "x" * 3000}
    answer = await shared.http.post("/v1/messages", json=body, headers=headers)
    assert error_of(answer)[:2] == (400, "invalid_request_error")


@on_shared
async def test_routing_has_its_field(shared: Web) -> None:
    """As in chat completions."""
    body = await message(shared, "sql 1", routing={"experts_allow": ["lists"]})
    assert body["model"] == "lists"
    answer = await ask(shared, routing={"max_cost": 1})
    assert "routing.max_cost" in error_of(answer)[2]


@on_shared
async def test_the_application_is_known_by_metadata(shared: Web) -> None:
    """Which the expert does not get."""
    body = await message(shared, model="sql", metadata={"application": "desk"})
    assert body["collegium"]["decision"]["application"] == "desk"
    assert "metadata" not in shared.experts["sql"].asked[-1].body


RESULT = {"type": "tool_result", "tool_use_id": "t"}
WRONG: list[tuple[Json, str]] = [
    ({"max_tokens": None}, "max_tokens"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"messages": []}, "messages"),
    ({"temperature": 3}, "temperature"),
    ({"tools": [{"name": "a"}]}, "tools[0].input_schema is missing"),
    (
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        "the tool 'web_search_20250305' is defined by Anthropic",
    ),
    ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "x"}}, "not one of the tools: look"),
    ({"mcp_servers": [{"type": "url"}]}, "mcp_servers"),
    ({"system": [PNG]}, "system[0]: a block of type 'image' is not allowed here"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
]
WRONG_BLOCKS: list[tuple[Json, str]] = [
    ({}, "content[0] must be a content block with a `type`"),
    ({"type": "text"}, "content[0].text must be a string"),
    ({"type": "image"}, "content[0].source must be an object"),
    ({"type": "image", "source": {"type": "file", "file_id": "f"}}, "send base64 or url"),
    ({"type": "image", "source": {"type": "base64"}}, "content[0].source.media_type"),
    ({"type": "document", "source": {"type": "url", "url": "x"}}, "send base64, text or content"),
    ({"type": "tool_use", "id": "a", "name": "b", "input": {}}, "is not allowed here"),
    ({"type": "web_search_tool_result"}, "belong to tools hosted by Anthropic"),
    ({"type": "tool_result"}, "content[0].tool_use_id must be a string"),
    ({**RESULT, "content": [{"type": "text", "text": 1}]}, "content[0].content[0].text"),
    ({**RESULT, "content": {"a": 1}}, "content[0].content must be a string or a list"),
    ({**RESULT, "content": [RESULT]}, "can't be inside another"),
]


@on_shared
@pytest.mark.parametrize(("fields", "words"), WRONG)
async def test_what_is_refused(shared: Web, fields: Json, words: str) -> None:
    """With words that name the field."""
    answer = await ask(shared, "sql 1", **fields)
    status, kind, told = error_of(answer)
    assert (status, kind) == (400, "invalid_request_error")
    assert words in told


@on_shared
@pytest.mark.parametrize(("block", "words"), WRONG_BLOCKS)
async def test_blocks_that_are_refused(shared: Web, block: Json, words: str) -> None:
    """With words that name their place."""
    answer = await ask(shared, [block, {"type": "text", "text": "sql 1"}])
    status, kind, told = error_of(answer)
    assert (status, kind) == (400, "invalid_request_error")
    assert words in told
