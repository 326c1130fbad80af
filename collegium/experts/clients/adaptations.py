"""Parameters that an upstream has refused, and how requests are adapted to it.

After a refusal, a limit is sent under its other name, `developer` becomes `system`, and a parameter
that does not change the meaning of the answer is left out. Nothing is stored: after a restart, one
refused request is needed to learn it again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from collegium.errors import CapabilityMissing
from collegium.experts.clients.upstream_errors import ErrorDetails
from collegium.registry.expert import Expert

MOST_MENDED = 4
"""How often one request may be adapted: an upstream may refuse several parameters one by one."""
LENGTHS = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
OURS = ("stream_options",)
"""Parameters that no caller has sent."""
MEANT = {
    "stream": "streaming",
    "messages": "messages",
    "max_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens",
    "response_format": "json_schema",
    "structured_outputs": "json_schema",
    "guided_json": "json_schema",
    "guided_regex": "json_schema",
    "guided_choice": "json_schema",
    "guided_grammar": "json_schema",
    "json_schema": "json_schema",
    "grammar": "json_schema",
    "tools": "tools",
    "tool_choice": "tools",
    "functions": "tools",
    "function_call": "tools",
    "web_search_options": "tools",
    "parallel_tool_calls": "parallel_tools",
    "logprobs": "logprobs",
    "top_logprobs": "logprobs",
    "prompt_logprobs": "logprobs",
    "logit_bias": "logit_bias",
    "n": "n",
    "stop": "stop",
    "stop_token_ids": "stop",
    "audio": "audio",
    "modalities": "audio",
}
"""Parameters that change what the answer is, and the capability that each needs."""
NEUTRAL: tuple[Any, ...] = (None, False, [], {}, "", "none", "auto", ["text"], {"type": "text"})
PARTS = {"image_url": "images", "input_audio": "audio", "file": "files"}
DEVELOPER = "developer_role"
_INSTEAD = re.compile(
    r"\.? *(?:please )?\b(?:use|try) |\binstead\b|did you mean|expected one of|"
    r"\b(?:supported|valid|allowed) (?:values|parameters|fields|keys)"
)
_VALUE = "unsupported_value"


class Applied(NamedTuple):
    """A request's body as its upstream takes it."""

    body: Mapping[str, Any]
    dropped: tuple[str, ...] = ()
    """Parameters that were left out."""


class Adaptations:
    """The known refusals of one upstream."""

    def __init__(self) -> None:
        self._refused: set[str] = set()
        self._values: set[tuple[str, str]] = set()
        self._no_developer = self._no_parts = False

    def applied(self, expert: Expert, body: Mapping[str, Any]) -> Applied:
        """The body as it is sent, and what is left out of it."""
        developer = not self._no_developer and expert.capabilities.get(DEVELOPER) is not False
        if developer and not (self._refused or self._values or self._no_parts):
            return Applied(body)  # nearly always
        sent, dropped = dict(body), []
        for name in self._unwanted(body):
            value, other = sent.pop(name), LENGTHS.get(name)
            if other is not None:
                sent.setdefault(other, value)
            elif name not in OURS:
                dropped.append(name)
        if not developer:
            sent["messages"] = [_as_system(m) for m in sent["messages"]]
        if self._no_parts:
            sent["messages"] = [_as_text(m) for m in sent["messages"]]
        return Applied(sent, tuple(sorted(dropped)))

    def learn(self, error: CapabilityMissing, told: ErrorDetails, body: Mapping[str, Any]) -> bool:
        """Remember what an upstream refused; return whether the request can be adapted now."""
        if error.capability == DEVELOPER and not self._no_developer:
            self._no_developer = True
            return True
        if error.capability == "parts" and not self._no_parts:
            self._no_parts = any(_as_text(m) is not m for m in body["messages"])
            return self._no_parts
        return any([self._left_out(name, told, body) for name in refused_parameters(told, body)])

    def _left_out(self, name: str, told: ErrorDetails, body: Mapping[str, Any]) -> bool:
        if name in LENGTHS:
            if LENGTHS[name] in self._refused:  # it takes neither
                return False
        elif not may_be_left_out(name, body[name]):
            return False
        if _VALUE in told.code:
            self._values.add((name, _text(body[name])))
        else:
            self._refused.add(name)
        return True

    def _unwanted(self, body: Mapping[str, Any]) -> list[str]:
        found = [name for name in self._refused if name in body and self._goes(name, body[name])]
        values = [n for n, text in self._values if n in body and _text(body[n]) == text]
        return list(dict.fromkeys(found + values))

    def _goes(self, name: str, value: Any) -> bool:
        """Whether a value may be left out; another value of the same parameter may matter."""
        return name in LENGTHS or may_be_left_out(name, value)


def may_be_left_out(name: str, value: Any) -> bool:
    """Whether the answer means the same without a parameter."""
    if name == "parallel_tool_calls":
        return value is not False
    return name not in MEANT or value in NEUTRAL or (name == "n" and value == 1)


def lacking(told: ErrorDetails, body: Mapping[str, Any], capability: str) -> dict[str, Any]:
    """Return the capability that a refusal is about, and the fields of the request that need it.

    It is empty if the words could mean anything: another expert may refuse the same.
    """
    if capability == "roles":
        roles = {m.get("role") for m in body["messages"]}
        named = [r for r in ("developer", "system") if r in roles and r in told.text]
        likely = named[0] if named else "developer" if "developer" in roles else ""
        return {"capability": f"{likely}_role" if likely else "", "param": "messages"}
    if capability in ("parts", *PARTS.values()):
        return {"capability": _of_parts(body, capability), "param": "messages"}
    names = refused_parameters(told, body)
    if capability == "parameter":
        capability = MEANT.get(names[0], "parameter") if names else ""
    names += [name for name in body if MEANT.get(name) == capability]
    return {"capability": capability, "param": names[0] if names else told.param or None}


def _of_parts(body: Mapping[str, Any], capability: str) -> str:
    """Return the capability for content that was refused, by the kind of the content."""
    kinds = {kind for message in body["messages"] for kind in _kinds(message)}
    held = sorted(PARTS[kind] for kind in kinds if kind in PARTS)
    if capability in held:
        return capability
    return held[0] if held else "parts" if kinds else ""


def refused_parameters(told: ErrorDetails, body: Mapping[str, Any]) -> list[str]:
    """The request's parameters that an upstream's words are about."""
    param = told.param.removeprefix("body.").partition("[")[0].partition(".")[0]
    if param in body and param != "messages":
        return [param]
    text = _INSTEAD.split(told.words.lower())[0]
    names = [n for n in body if n != "messages" and _is_named(n, text)]
    return names or [n for n in body if n != "messages" and _is_named(n, told.code)]


def _is_named(name: str, text: str) -> bool:
    """Whether a text names a parameter; ordinary words only count where they are used as names."""
    plain = re.escape(name.lower())
    if "_" in name:
        camel = re.escape(name.lower().replace("_", ""))
        return re.search(rf"\b(?:{plain}|{camel})\b", text) is not None
    before = r"\b(?:parameters?|fields?|arguments?|propert\w+|supplied|names?|key):? ['\"`\[]*"
    as_name = rf"['\"`.]{plain}['\"`:]|{before}{plain}\b|^{plain}(?::| is | are )"
    return re.search(as_name, text) is not None


def _kinds(message: Mapping[str, Any]) -> list[str]:
    content = message.get("content")
    return [str(p.get("type")) for p in content] if isinstance(content, list) else []


def _as_system(message: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**message, "role": "system"} if message.get("role") == "developer" else message


def _as_text(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return content in parts as one text if all parts are text."""
    kinds = _kinds(message)
    if not kinds or set(kinds) != {"text"}:
        return message
    text = "\n".join(str(part.get("text") or "") for part in message["content"])
    return {**message, "content": text}


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
