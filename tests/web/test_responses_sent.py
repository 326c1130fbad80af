"""What experts are sent of requests of the Responses API, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.web.conftest import Web, on_shared
from tests.web.responses import FIND, PATCH, PATH, SHELL, ask, asked


@pytest.mark.parametrize(
    ("given", "messages"),
    [
        ("sql 1", [{"role": "user", "content": "sql 1"}]),
        (
            [{"role": "developer", "content": "Be brief"}, {"role": "user", "content": "sql 1"}],
            [{"role": "developer", "content": "Be brief"}, {"role": "user", "content": "sql 1"}],
        ),
        (
            [
                {"role": "user", "content": [{"type": "input_text", "text": "sql 1"}]},
                {
                    "type": "message",
                    "id": "msg_1",
                    "status": "completed",
                    "role": "assistant",
                    "content": [
                        {"type": "output_text", "text": "a", "annotations": []},
                        {"type": "refusal", "refusal": "b"},
                    ],
                },
                {"role": "user", "content": "sql 2"},
            ],
            [
                {"role": "user", "content": "sql 1"},
                {"role": "assistant", "content": "ab"},
                {"role": "user", "content": "sql 2"},
            ],
        ),
        (
            [
                {
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": "sql 1"},
                        {"type": "input_image", "image_url": "data:image/png;base64,AA"},
                        {"type": "input_image", "image_url": "https://x.test/a", "detail": "low"},
                        {"type": "input_file", "file_data": "data:a/b;base64,AA", "filename": "f"},
                        {"type": "input_audio", "input_audio": {"data": "AA", "format": "mp3"}},
                    ],
                }
            ],
            [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "sql 1"},
                        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
                        {
                            "type": "image_url",
                            "image_url": {"url": "https://x.test/a", "detail": "low"},
                        },
                        {
                            "type": "file",
                            "file": {"file_data": "data:a/b;base64,AA", "filename": "f"},
                        },
                        {"type": "input_audio", "input_audio": {"data": "AA", "format": "mp3"}},
                    ],
                }
            ],
        ),
    ],
    ids=["text", "roles", "parts", "media"],
)
async def test_items_become_messages(web: Web, given: Any, messages: Any) -> None:
    """Of a chat, with its own parts, and nothing of this API's."""
    await ask(web, given, model="sql")
    assert asked(web)["messages"] == messages


async def test_instructions_come_first(web: Web) -> None:
    """As the system's message."""
    await ask(web, "sql 1", instructions="Be brief")
    assert asked(web)["messages"][0] == {"role": "system", "content": "Be brief"}


async def test_calls_and_their_results_become_messages(web: Web) -> None:
    """Calls that follow each other are one message, and what is said with them goes there."""
    items = [
        {"role": "user", "content": "sql 1"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": None},
        {"role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
        {"type": "function_call", "call_id": "a", "name": "find", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "b", "name": "apply_patch", "input": "*** é"},
        {
            "type": "local_shell_call",
            "id": "lsh_1",
            "call_id": "c",
            "status": "completed",
            "action": {"type": "exec", "command": ["ls"], "env": {}, "timeout_ms": 5},
        },
        {"type": "function_call_output", "call_id": "a", "output": "found"},
        {
            "type": "custom_tool_call_output",
            "call_id": "b",
            "output": [
                {"type": "input_text", "text": "done"},
                {"type": "input_image", "image_url": "data:image/png;base64,AA"},
            ],
        },
        {"type": "local_shell_call_output", "id": "c", "output": "a.txt"},
    ]
    await ask(web, items, model="sql", tools=[FIND, PATCH, SHELL])
    user, assistant, *answers, shown = asked(web)["messages"]
    assert (user["role"], assistant["content"]) == ("user", "I look.")
    calls = [(c["id"], c["type"], c["function"]["name"]) for c in assistant["tool_calls"]]
    assert calls == [
        ("a", "function", "find"),
        ("b", "function", "apply_patch"),
        ("c", "function", "local_shell"),
    ]
    arguments = [json.loads(c["function"]["arguments"]) for c in assistant["tool_calls"]]
    assert arguments == [{}, {"input": "*** é"}, {"command": ["ls"], "timeout_ms": 5}]
    assert [(m["role"], m["tool_call_id"], m["content"]) for m in answers] == [
        ("tool", "a", "found"),
        ("tool", "b", "done"),
        ("tool", "c", "a.txt"),
    ]
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
    assert (shown["role"], shown["content"][1:]) == ("user", [image])
    assert "The tool call b returned this" in shown["content"][0]["text"]


async def test_tools_become_functions(web: Web) -> None:
    """Also a custom tool, with its grammar in words, and the local shell."""
    grammar = {"type": "grammar", "syntax": "lark", "definition": 'start: "x"'}
    await ask(web, model="sql", tools=[FIND, {**PATCH, "format": grammar}, SHELL])
    find, patch, shell = (tool["function"] for tool in asked(web)["tools"])
    assert find == {"name": "find", "parameters": {"type": "object"}, "strict": True}
    assert patch["parameters"]["required"] == ["input"]
    assert patch["description"].startswith("Change files.")
    assert 'start: "x"' in patch["description"]
    assert shell["parameters"]["required"] == ["command"]


@pytest.mark.parametrize(
    ("choice", "sent", "names"),
    [
        ("required", "required", ["find", "apply_patch"]),
        ({"type": "function", "name": "find"}, "find", ["find", "apply_patch"]),
        ({"type": "custom", "name": "apply_patch"}, "apply_patch", ["find", "apply_patch"]),
        (
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "find"}],
            },
            "required",
            ["find"],
        ),
    ],
)
async def test_a_choice_among_tools(web: Web, choice: Any, sent: str, names: list[str]) -> None:
    """Named as a chat completion does; of allowed tools the others are not shown."""
    await ask(web, model="sql", tools=[FIND, PATCH], tool_choice=choice, parallel_tool_calls=False)
    named = {"type": "function", "function": {"name": sent}}
    assert asked(web)["tool_choice"] == (sent if sent == "required" else named)
    assert [tool["function"]["name"] for tool in asked(web)["tools"]] == names
    assert asked(web)["parallel_tool_calls"] is False


async def test_options_have_their_names_in_a_chat(web: Web) -> None:
    """What this API alone has stays here; what it does not have passes through."""
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    form = {"type": "json_schema", "name": "out", "strict": True, "schema": schema}
    await ask(
        web,
        model="sql",
        max_output_tokens=50,
        temperature=0.5,
        top_p=0.9,
        reasoning={"effort": "low", "summary": "auto"},
        text={"format": form, "verbosity": "low"},
        metadata={"application": "desk"},
        user="u",
        prompt_cache_key="k",
        store=False,
        include=["reasoning.encrypted_content", "message.output_text.logprobs"],
        truncation="auto",
        client_metadata={"x": 1},
        tool_choice="auto",
        parallel_tool_calls=True,
        tools=[],
        top_k=4,
    )
    sent = dict(asked(web))
    del sent["messages"]
    assert sent == {
        "max_completion_tokens": 50,
        "temperature": 0.5,
        "top_p": 0.9,
        "reasoning_effort": "low",
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "out", "strict": True, "schema": schema},
        },
        "verbosity": "low",
        "metadata": {"application": "desk"},
        "user": "u",
        "prompt_cache_key": "k",
        "logprobs": True,
        "top_k": 4,
    }


async def test_nulls_are_defaults(web: Web) -> None:
    """As some clients send them."""
    names = ("stream", "store", "tools", "tool_choice", "text", "reasoning", "metadata", "include")
    nulls: Any = dict.fromkeys(names)
    response = await ask(web, "sql 1", **nulls, max_output_tokens=None)
    assert asked(web).keys() == {"messages"}
    assert response["tool_choice"] == "auto"


@on_shared
@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"input": None}, "input", "a string or a list"),
        ({"input": []}, "input", "not empty"),
        ({"input": ["a"]}, "input[0]", "JSON object"),
        ({"input": [{"content": "a"}]}, "input[0]", "type is missing"),
        ({"input": [{"role": "tool", "content": "a"}]}, "input[0].role", "user, assistant"),
        ({"input": [{"role": "user", "content": 3}]}, "input[0].content", "list of parts"),
        (
            {"input": [{"role": "user", "content": [{"type": "text"}]}]},
            "input[0].content[0].text",
            "must be a string",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "video"}]}]},
            "input[0].content[0]",
            "input_image",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
            "input[0].content[0].file_id",
            "image_url",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_url": "u"}]}]},
            "input[0].content[0].file_url",
            "file_data",
        ),
        ({"input": [{"type": "computer_call", "id": "w"}]}, "input[0].type", "computer_call"),
        ({"input": [{"type": "web_search_call", "id": "w"}]}, "input", "nothing to answer"),
        (
            {"input": [{"type": "function_call", "call_id": "a"}]},
            "input[0].name",
            "must be a string",
        ),
        ({"tools": [{"type": "telepathy"}]}, "tools[0].type", "'telepathy' is hosted by OpenAI"),
        ({"tools": [FIND, {"type": "telepathy"}]}, "tools[1].type", "'telepathy'"),
        ({"tools": [{"type": "function"}]}, "tools[0].name", "needs a name"),
        ({"tools": [{"type": "namespace"}]}, "tools[0].name", "needs a name"),
        ({"tools": [{"type": "namespace", "name": "a"}]}, "tools[0].tools", "a list"),
        (
            {"tools": [{"type": "namespace", "name": "a", "tools": [{"type": "web_search"}]}]},
            "tools[0].tools[0].type",
            "'web_search'",
        ),
        ({"tools": [FIND], "tool_choice": "any"}, "tool_choice", "'required'"),
        (
            {"tools": [FIND], "tool_choice": {"type": "function", "name": "x"}},
            "tool_choice",
            "given tools: find",
        ),
        (
            {"tools": [FIND], "tool_choice": {"type": "web_search"}},
            "tool_choice",
            "name one of the tools",
        ),
        ({"tool_choice": "required"}, "tool_choice", "no tools"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type", "json_schema"),
        ({"background": True}, "background", "/v1/batches"),
        ({"conversation": "conv_1"}, "conversation", "previous_response_id"),
        ({"prompt": {"id": "p"}}, "prompt", "input"),
        ({"messages": []}, "messages", "called `input`"),
        ({"max_tokens": 5}, "max_tokens", "`max_output_tokens`"),
        ({"n": 2}, "n", "one answer"),
        ({"seed": "x"}, "seed", "integer"),
        ({"temperature": 3}, "temperature", "at most 2"),
        ({"include": ["everything"]}, "include[0]", "reasoning.encrypted_content"),
        ({"routing": {"max_cost": 1}}, "routing.max_cost", ""),
        ({"input": ""}, "input", "no text"),
    ],
)
async def test_what_is_wrong_is_named(
    shared: Web, fields: dict[str, Any], param: str, words: str
) -> None:
    """The field as the caller wrote it, and what to do."""
    answer = await shared.http.post(PATH, json={"input": "sql 1", **fields})
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["param"] == param
    assert words in error["message"]
