"""A whole session of Codex CLI: requests in its shape, and what it reads of the events."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from tests.web.conftest import Web
from tests.web.fakes import delta
from tests.web.responses import PATH, Events, asked, events_of

SHELL = {
    "type": "function",
    "name": "exec_command",
    "description": "Runs a command in a PTY.",
    "strict": False,
    "parameters": {
        "type": "object",
        "properties": {"cmd": {"type": "string"}, "yield_time_ms": {"type": "number"}},
        "required": ["cmd"],
        "additionalProperties": False,
    },
}
PATCH = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Edits files.",
    "format": {"type": "grammar", "syntax": "lark", "definition": 'start: "*** Begin Patch"'},
}
CONTEXT = "<environment_context>\n  <cwd>/repo</cwd>\n</environment_context>"
AGENTS = {
    "type": "namespace",
    "name": "multi_agent_v1",
    "description": "Other agents.",
    "tools": [{**SHELL, "name": "spawn_agent"}],
}
THINKS = {"reasoning_content": "The user wants a fix."}


def message(role: str, text: str) -> Any:
    """A message as Codex sends it, under an id of its own."""
    content = [{"type": "input_text", "text": text}]
    return {"type": "message", "id": f"msg_{uuid4()}", "role": role, "content": content}


def body(items: list[Any], *tools: Any) -> Any:
    """One turn's request."""
    return {
        "model": "auto",
        "instructions": "You are a coding agent running in the Codex CLI.",
        "input": items,
        "tools": list(tools),
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "reasoning": {"effort": "medium", "summary": "auto"},
        "store": False,
        "stream": True,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "0199a213-81a2-7800-8aa0-bbab2a035a53",
        "text": {"verbosity": "medium"},
        "client_metadata": {"x-codex-installation-id": "1"},
    }


async def turn(web: Web, items: list[Any], chunks: list[Any], *tools: Any) -> list[Any]:
    """Ask with what the conversation has so far; returns it with what Codex adds to it."""
    web.experts["sql"].chunks = chunks
    headers = {"accept": "text/event-stream", "originator": "codex_exec", "session-id": "01a2"}
    answer = await web.http.post(PATH, json=body(items, *tools), headers=headers)
    assert answer.status_code == 200, answer.text
    found = events_of(answer.text)
    assert found[-1]["type"] == "response.completed"
    assert {"id", "usage"} <= found[-1]["response"].keys()
    return [*items, *map(replayed, done(found))]


def done(events: Events) -> list[Any]:
    """The items that Codex takes from the stream: those that are done, in their order."""
    return [event["item"] for event in events if event["type"] == "response.output_item.done"]


def replayed(item: Any) -> Any:
    """An item as Codex sends it back."""
    fields = {
        "message": ("role", "content"),
        "reasoning": ("summary", "encrypted_content"),
        "function_call": ("name", "namespace", "arguments", "call_id"),
        "custom_tool_call": ("status", "call_id", "name", "input"),
        "local_shell_call": ("call_id", "status", "action"),
    }[item["type"]]
    return {"type": item["type"], **{name: item[name] for name in fields if name in item}}


def calls(*functions: tuple[str, Any], said: str = "") -> list[Any]:
    """The chunks of an upstream that thinks, says something and calls tools."""
    called = [
        {
            "index": index,
            "id": f"call_{name}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments)},
        }
        for index, (name, arguments) in enumerate(functions)
    ]
    words = [delta({"content": said})] if said else []
    return [delta(THINKS), *words, delta({"tool_calls": called}), delta({}, "tool_calls")]


async def test_a_whole_tool_loop(web: Web) -> None:
    """Think, run a command, patch a file, say that it is done."""
    items = [message("developer", "Sandbox: workspace-write."), message("user", CONTEXT)]
    items.append(message("user", "sql 1: fix the failing test"))
    tools = (SHELL, PATCH)

    items = await turn(
        web, items, calls(("exec_command", {"cmd": "pytest"}), said="I run it."), *tools
    )
    assert [item["type"] for item in items[3:]] == ["reasoning", "message", "function_call"]
    assert items[3]["summary"] == [{"type": "summary_text", "text": "The user wants a fix."}]
    assert json.loads(items[-1]["arguments"]) == {"cmd": "pytest"}
    told = {"type": "function_call_output", "call_id": items[-1]["call_id"], "output": "1 failed"}

    patch = "*** Begin Patch\n*** End Patch\n"
    items = await turn(web, [*items, told], calls(("apply_patch", {"input": patch})), *tools)
    assert (items[-1]["type"], items[-1]["input"]) == ("custom_tool_call", patch)
    told = {"type": "custom_tool_call_output", "call_id": items[-1]["call_id"], "output": "Done"}

    end = [delta({"role": "assistant", "content": "Fixed."}), delta({}, "stop")]
    items = await turn(web, [*items, told], end, *tools)
    assert items[-1]["content"][0]["text"] == "Fixed."

    sent = asked(web)
    assert [m["role"] for m in sent["messages"]] == [
        "system",
        "developer",
        "user",
        "user",
        "assistant",
        "tool",
        "assistant",
        "tool",
    ]
    first, second = (m for m in sent["messages"] if m["role"] == "assistant")
    assert (first["content"], first["tool_calls"][0]["id"]) == ("I run it.", "call_exec_command")
    assert json.loads(second["tool_calls"][0]["function"]["arguments"]) == {"input": patch}
    assert [m["content"] for m in sent["messages"] if m["role"] == "tool"] == ["1 failed", "Done"]
    assert sent["reasoning_effort"] == "medium"
    assert sent["prompt_cache_key"] == "0199a213-81a2-7800-8aa0-bbab2a035a53"
    ours = {"input", "instructions", "include", "store", "text", "reasoning", "client_metadata"}
    assert sent.keys().isdisjoint(ours)


async def test_the_local_shell(web: Web) -> None:
    """As Codex offers it to models that were trained with it."""
    items = [message("user", "sql 1: what is here?")]
    shell = {"type": "local_shell"}
    asks = calls(("local_shell", {"command": ["ls"], "working_directory": "/repo"}))
    items = await turn(web, items, asks, shell)
    action = {"type": "exec", "command": ["ls"], "env": {}, "working_directory": "/repo"}
    assert items[-1]["action"] == action
    told = {"type": "function_call_output", "call_id": items[-1]["call_id"], "output": "a.py"}
    end = [delta({"content": "One file."}), delta({}, "stop")]
    items = await turn(web, [*items, told], end, shell)
    assert items[-1]["content"][0]["text"] == "One file."
    assert asked(web)["messages"][-1]["content"] == "a.py"


async def test_a_tool_of_a_namespace(web: Web) -> None:
    """Codex offers its other agents so, and the tools of its servers."""
    items = [message("user", "sql 1: ask another one")]
    asks = calls(("multi_agent_v1__spawn_agent", {"cmd": "look"}))
    items = await turn(web, items, asks, SHELL, AGENTS)
    assert (items[-1]["namespace"], items[-1]["name"]) == ("multi_agent_v1", "spawn_agent")
    told = {"type": "function_call_output", "call_id": items[-1]["call_id"], "output": "done"}
    await turn(web, [*items, told], [delta({"content": "Done."}), delta({}, "stop")], SHELL, AGENTS)
    (call,) = asked(web)["messages"][-2]["tool_calls"]
    assert call["function"]["name"] == "multi_agent_v1__spawn_agent"


async def test_a_picture_that_a_tool_shows(web: Web) -> None:
    """Codex's `view_image` answers with one; a chat's tools answer with text alone."""
    items = [message("user", "sql 1: look")]
    view = {**SHELL, "name": "view_image"}
    items = await turn(web, items, calls(("view_image", {"path": "a.png"})), view)
    image = {"type": "input_image", "image_url": "data:image/png;base64,AA"}
    told = {"type": "function_call_output", "call_id": items[-1]["call_id"], "output": [image]}
    await turn(web, [*items, told], [delta({"content": "A cat."}), delta({}, "stop")], view)
    *_, tool, shown = asked(web)["messages"]
    assert (tool["role"], tool["content"]) == ("tool", "(see the next message)")
    assert shown["content"][1]["image_url"]["url"] == "data:image/png;base64,AA"


async def test_the_names_of_tools_are_no_headers(web: Web) -> None:
    """Nor do they grow without end."""
    for kind in ("web_search\r\nX-Evil: 1", "mcp\n"):
        answer = await web.http.post(PATH, json=body([message("user", "sql 1")], {"type": kind}))
        assert answer.status_code == 400
    many = [{"type": f"web_search_{number}"} for number in range(3000)]
    answer = await web.http.post(PATH, json=body([message("user", "sql 1")], *many))
    assert answer.status_code == 200
    assert len(answer.headers["x-collegium-dropped"]) <= 1000


@pytest.mark.parametrize("kind", ["web_search", "image_generation"])
async def test_a_hosted_tool_is_left_out_and_named(web: Web, kind: str) -> None:
    """Codex offers a search with every request; who insists on one is told that nobody has it."""
    offered = body([message("user", "sql 1")], SHELL, {"type": kind})
    answer = await web.http.post(PATH, json=offered)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-collegium-dropped"] == kind
    assert len(asked(web)["tools"]) == 1
    insisting = offered | {"tool_choice": {"type": kind}}
    refused = await web.http.post(PATH, json=insisting)
    assert refused.status_code == 400
    assert kind in refused.json()["error"]["message"]
