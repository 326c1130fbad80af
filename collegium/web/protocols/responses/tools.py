"""Convert tools of the Responses API to a chat's functions, and their calls to items.

Custom tools and the local shell become functions, which far more experts can call: a custom tool
has one argument, its text. A tool of a namespace has that in its name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from collegium.errors import BadRequest
from collegium.experts.clients.events import Json

Kind = Literal["function", "custom", "local_shell"]
SHELL = "local_shell"
INPUT = "input"
HOSTED = (
    "web_search", "file_search", "code_interpreter", "image_generation", "mcp",
    "computer", "tool_search",
)  # fmt: skip
"""Beginnings of the types of tools that OpenAI runs itself."""
HOSTED_CALLS = (
    "web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call",
    "mcp_call", "mcp_list_tools",
)  # fmt: skip
"""Types of items that tell what such a tool did; the answer that follows says what came of it."""
TYPE = re.compile(r"[a-z0-9_]{1,64}")
TAKEN = "function, custom, local_shell, and namespace of these"
_TEXT: Json = {"type": "string"}
_SHELL: Json = {
    "name": SHELL,
    "description": "Run a command on the user's machine and return what it prints.",
    "parameters": {
        "type": "object",
        "properties": {
            "command": {
                "type": "array",
                "items": _TEXT,
                "description": "The program and its arguments.",
            },
            "working_directory": _TEXT,
            "timeout_ms": {"type": "integer"},
        },
        "required": ["command"],
    },
}


@dataclass(frozen=True)
class Offered:
    """A tool as the caller defined it."""

    kind: Kind
    name: str
    namespace: str | None = None


Offers = Mapping[str, Offered]
"""Tools by the names of their functions."""


def function_name(name: str, namespace: Any = None) -> str:
    """Return the function name that experts see for a tool."""
    return f"{namespace}__{name}" if isinstance(namespace, str) and namespace else name


def offers_of(tools: Sequence[Mapping[str, Any]], namespace: str | None = None) -> Offers:
    """The tools that `chat_tools` has taken."""
    found: dict[str, Offered] = {}
    for tool in tools:
        if _is_hosted(tool):
            continue
        if tool["type"] == "namespace":
            found |= offers_of(tool["tools"], tool["name"])
            continue
        name = str(tool.get("name", SHELL))
        found[function_name(name, namespace)] = Offered(tool["type"], name, namespace)
    return found


def without_hosted(
    tools: Sequence[Mapping[str, Any]], choice: Any
) -> tuple[list[Mapping[str, Any]], tuple[str, ...]]:
    """The tools that an expert can be offered, and the types of those that OpenAI hosts.

    Codex offers `web_search` with every request. A model may leave an offered tool alone, so what
    nobody has is left out; a tool that has to be called stays, and is refused.
    """
    forced = choice.get("type") if isinstance(choice, Mapping) else None
    hosted = [tool for tool in tools if _is_hosted(tool) and tool["type"] != forced]
    if choice == "required" and len(hosted) == len(tools):
        return list(tools), ()
    kept = [tool for tool in tools if tool not in hosted]
    return kept, tuple(dict.fromkeys(str(tool["type"]) for tool in hosted))


def _is_hosted(tool: Mapping[str, Any]) -> bool:
    kind = tool.get("type")
    return isinstance(kind, str) and kind.startswith(HOSTED) and bool(TYPE.fullmatch(kind))


def chat_tools(tools: Sequence[Mapping[str, Any]]) -> list[Json]:
    """Tools as a chat completion takes them; BadRequest names one that no expert has."""
    found: list[Json] = []
    for place, tool in enumerate(tools):
        where = f"tools[{place}]"
        if tool.get("type") == "namespace":
            found += _of_namespace(tool, where)
        else:
            found.append({"type": "function", "function": _function(tool, where)})
    return found


def _of_namespace(space: Mapping[str, Any], where: str) -> list[Json]:
    name, tools = space.get("name"), space.get("tools")
    if not isinstance(name, str) or not name:
        raise BadRequest(f"{where}.name: a namespace needs a name", f"{where}.name")
    if not isinstance(tools, list) or not all(isinstance(tool, Mapping) for tool in tools):
        raise BadRequest(f"{where}.tools must be a list of tools", f"{where}.tools")
    found = []
    for place, tool in enumerate(tools):
        function = _function(tool, f"{where}.tools[{place}]")
        named = {**function, "name": function_name(function["name"], name)}
        found.append({"type": "function", "function": named})
    return found


def _function(tool: Mapping[str, Any], where: str) -> Json:
    kind = tool.get("type")
    if kind == SHELL:
        return _SHELL
    if kind not in ("function", "custom"):
        raise BadRequest(
            f"{where}.type: the tool {kind!r} is hosted by OpenAI or unknown, and no expert has "
            f"it; leave it out, or offer it as a function. Tools of these types are taken: {TAKEN}",
            f"{where}.type",
        )
    name = tool.get("name")
    if not isinstance(name, str) or not name:
        raise BadRequest(f"{where}.name: a tool of type '{kind}' needs a name", f"{where}.name")
    return _custom(tool, name) if kind == "custom" else _plain(tool, name)


def _plain(tool: Mapping[str, Any], name: str) -> Json:
    function: Json = {"name": name}
    for field in ("description", "parameters"):
        if tool.get(field) is not None:
            function[field] = tool[field]
    if tool.get("strict"):  # false is what chat completions take for granted
        function["strict"] = True
    return function


def _custom(tool: Mapping[str, Any], name: str) -> Json:
    described = str(tool.get("description") or "")
    form = tool.get("format")
    if isinstance(form, Mapping) and form.get("type") == "grammar":
        syntax, definition = form.get("syntax", "lark"), form.get("definition", "")
        described += f"\n\n`{INPUT}` has to match this grammar ({syntax}):\n{definition}"
    parameters = {"type": "object", "properties": {INPUT: _TEXT}, "required": [INPUT]}
    return {"name": name, "description": described.strip(), "parameters": parameters}


def chat_choice(choice: Any, tools: Sequence[Json]) -> tuple[Any, list[Json]]:
    """`tool_choice` as a chat completion takes it, and the tools that it leaves."""
    if isinstance(choice, str):
        if choice == "required" and not tools:
            raise BadRequest("tool_choice is 'required', but no tools were given", "tool_choice")
        if choice in ("none", "auto", "required"):
            return choice, list(tools)
    elif isinstance(choice, Mapping):
        kind = choice.get("type")
        if kind == "allowed_tools":
            return _allowed(choice, tools)
        if kind in ("function", "custom", SHELL):
            name = _known(choice, tools, "tool_choice")
            return {"type": "function", "function": {"name": name}}, list(tools)
    raise BadRequest(
        "tool_choice must be 'none', 'auto' or 'required', or name one of the tools: "
        '{"type": "function", "name": …} (also of type custom, local_shell or allowed_tools)',
        "tool_choice",
    )


def _allowed(choice: Mapping[str, Any], tools: Sequence[Json]) -> tuple[Any, list[Json]]:
    """A subset of the tools: the others are not shown to the expert."""
    allowed, mode = choice.get("tools"), choice.get("mode", "auto")
    if not isinstance(allowed, list) or not all(isinstance(each, Mapping) for each in allowed):
        raise BadRequest("tool_choice.tools must be a list of tools", "tool_choice.tools")
    if mode not in ("auto", "required"):
        raise BadRequest("tool_choice.mode must be 'auto' or 'required'", "tool_choice.mode")
    names = {_known(each, tools, f"tool_choice.tools[{n}]") for n, each in enumerate(allowed)}
    return mode, [tool for tool in tools if tool["function"]["name"] in names]


def _known(named: Mapping[str, Any], tools: Sequence[Json], where: str) -> str:
    name = function_name(str(named.get("name", SHELL)), named.get("namespace"))
    if name not in (names := [tool["function"]["name"] for tool in tools]):
        raise BadRequest(
            f"{where}: there is no tool {name!r}; given tools: {', '.join(names) or 'none'}", where
        )
    return name


def custom_input(arguments: str) -> str:
    """Return the text of a custom tool's call; arguments in another format are taken as the text
    itself.
    """
    found = _object(arguments).get(INPUT)
    return found if isinstance(found, str) else arguments


def shell_action(arguments: str) -> Json:
    """Return the command of a local shell call; an empty one if it can't be parsed."""
    told = _object(arguments)
    command = told.get("command")
    if isinstance(command, str):
        command = ["bash", "-lc", command]
    readable = isinstance(command, list) and all(isinstance(part, str) for part in command)
    action: Json = {"type": "exec", "command": command if readable else [], "env": {}}
    if type(told.get("timeout_ms")) is int:
        action["timeout_ms"] = told["timeout_ms"]
    if isinstance(told.get("working_directory"), str):
        action["working_directory"] = told["working_directory"]
    return action


def _object(arguments: str) -> Mapping[str, Any]:
    try:
        found = json.loads(arguments)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
