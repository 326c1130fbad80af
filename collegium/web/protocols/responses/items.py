"""Convert items of the Responses API to chat messages."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from collegium.errors import BadRequest
from collegium.experts.clients.events import Json
from collegium.web.protocols.responses.content import chat_part, is_text, text_field
from collegium.web.protocols.responses.tools import (
    HOSTED_CALLS,
    INPUT,
    SHELL,
    function_name,
)

Item = Mapping[str, Any]
ROLES = ("user", "assistant", "system", "developer")
ELSEWHERE = "(see the next message)"
"""Placeholder for tool output that a chat's tool message can't contain, such as an image."""
SHOWN = "<system-reminder>\nThe tool call {} returned this:\n</system-reminder>"
"""Introduces such output; marks it as not the user's words, so that the question is still routed.
"""


def messages_of(items: Sequence[Item], where: str = "input") -> list[Json]:
    """The messages that say what the items say; BadRequest names the item that can't be sent."""
    messages = Messages()
    for place, item in enumerate(items):
        messages.add(item, f"{where}[{place}]")
    return messages.end()


class Messages:
    """Puts messages together, item by item."""

    def __init__(self) -> None:
        self._found: list[Json] = []
        self._shown: list[Json] = []
        """Parts that tools have answered, for a message of their own after all answers."""

    def add(self, item: Any, where: str) -> None:
        """Add one item."""
        kind = kind_of(item, where)
        add = ADDERS.get(kind)
        if add is None:
            raise BadRequest(
                f"{where}.type: items of type {kind!r} can't be sent to a chat model; leave "
                f"them out. Items of these types are taken: {', '.join(ADDERS)}",
                f"{where}.type",
            )
        if not kind.endswith("_output"):
            self._show()
        add(self, item, where)

    def end(self) -> list[Json]:
        """Return all messages."""
        self._show()
        return self._found

    def _show(self) -> None:
        if self._shown:
            self._found.append({"role": "user", "content": self._shown})
            self._shown = []

    def message(self, item: Item, where: str) -> None:
        """A message as it is; the words of an answer whose tools are called already go there."""
        role = item.get("role")
        if role not in ROLES:
            raise BadRequest(f"{where}.role must be one of {', '.join(ROLES)}", f"{where}.role")
        content = _content(item.get("content"), f"{where}.content", role)
        last = self._found[-1] if self._found else {}
        if role == "assistant" and last.get("tool_calls"):
            last["content"] = f"{last['content']}\n{content}" if last["content"] else content
        else:
            self._found.append({"role": role, "content": content})

    def call(self, item: Item, where: str, name: str, arguments: str) -> None:
        """A call of a tool: calls that follow each other are one message."""
        function = {"name": name, "arguments": arguments}
        called = {
            "id": text_field(item, "call_id", where),
            "type": "function",
            "function": function,
        }
        if not self._found or self._found[-1]["role"] != "assistant":
            self._found.append({"role": "assistant", "content": None})
        self._found[-1].setdefault("tool_calls", []).append(called)

    def function_call(self, item: Item, where: str) -> None:
        """A call of a function."""
        name = function_name(text_field(item, "name", where), item.get("namespace"))
        self.call(item, where, name, text_field(item, "arguments", where))

    def custom_call(self, item: Item, where: str) -> None:
        """Convert a call of a custom tool, which experts know as a function."""
        arguments = json.dumps({INPUT: text_field(item, "input", where)}, ensure_ascii=False)
        name = function_name(text_field(item, "name", where), item.get("namespace"))
        self.call(item, where, name, arguments)

    def shell_call(self, item: Item, where: str) -> None:
        """A call of the local shell, likewise."""
        action = item.get("action")
        if not isinstance(action, Mapping):
            raise BadRequest(f"{where}.action must be an object with `command`", f"{where}.action")
        known = ("command", "working_directory", "timeout_ms")
        told = {k: action[k] for k in known if action.get(k) is not None}
        self.call(item, where, SHELL, json.dumps(told, ensure_ascii=False))

    def output(self, item: Item, where: str) -> None:
        """Convert a tool's output: text goes into the tool message, the rest after it."""
        name = "call_id" if "call_id" in item else "id"
        call_id, output = text_field(item, name, where), item.get("output")
        texts, others = _told(output, f"{where}.output")
        content = "\n".join(texts) or (ELSEWHERE if others else "")
        self._found.append({"role": "tool", "tool_call_id": call_id, "content": content})
        if others:
            self._shown += [{"type": "text", "text": SHOWN.format(call_id)}, *others]

    def left_out(self, item: Item, where: str) -> None:
        """Note items without a chat equivalent: reasoning, and the work of hosted tools."""


ADDERS: Mapping[str, Callable[[Messages, Item, str], None]] = {
    "message": Messages.message,
    "function_call": Messages.function_call,
    "function_call_output": Messages.output,
    "custom_tool_call": Messages.custom_call,
    "custom_tool_call_output": Messages.output,
    "local_shell_call": Messages.shell_call,
    "local_shell_call_output": Messages.output,
    "reasoning": Messages.left_out,
    **dict.fromkeys(HOSTED_CALLS, Messages.left_out),
}


def kind_of(item: Any, where: str) -> str:
    """An item's type; a message need not say it."""
    if not isinstance(item, Mapping):
        raise BadRequest(f"{where} must be an item: a JSON object with a `type`", where)
    kind = item.get("type") or ("message" if "role" in item else None)
    if not isinstance(kind, str):
        raise BadRequest(f"{where}.type is missing: every item has a type", where)
    return kind


def _content(content: Any, where: str, role: str) -> str | list[Json]:
    """Return a string if the content is a single text, since every expert can read that."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise BadRequest(f"{where} must be a string or a list of parts", where)
    parts = [chat_part(part, f"{where}[{n}]") for n, part in enumerate(content)]
    if role == "user" and len(parts) != 1:
        return parts
    texts = [part["text"] for part in parts if is_text(part)]
    if len(texts) == len(parts):
        return ("" if role == "assistant" else "\n\n").join(texts)
    if role != "user":
        raise BadRequest(f"{where}: messages with the role '{role}' may contain only text", where)
    return parts


def _told(output: Any, where: str) -> tuple[list[str], list[Json]]:
    """The texts of what a tool answered, and its other parts."""
    if isinstance(output, str):
        return [output], []
    if not isinstance(output, list):
        raise BadRequest(f"{where} must be a string or a list of parts", where)
    parts = [chat_part(part, f"{where}[{n}]") for n, part in enumerate(output)]
    texts = [part["text"] for part in parts if is_text(part)]
    return texts, [part for part in parts if not is_text(part)]
