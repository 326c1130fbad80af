"""Send requests of OpenAI's Responses API unchanged to experts that support it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from collegium.experts.clients.events import Json
from collegium.experts.clients.native import Native
from collegium.experts.clients.reply import Call
from collegium.experts.clients.responses_shape import ResponseReader
from collegium.experts.clients.upstream_errors import is_error
from collegium.experts.clients.wire import Wire
from collegium.registry.capabilities import takes
from collegium.registry.expert import Expert

LENGTHS = ("max_completion_tokens", "max_tokens")
VENDORS = ("openai.com", "azure.com")
"""Domains whose servers have the whole API; others have what chat completions have, too."""
ENCRYPTED = "encrypted_content"
FAILURES = ("failed", "cancelled")


class ResponsesWire(Wire):
    """The Responses API of one expert."""

    protocol = "responses"
    shape = "response's"

    def native_of(self, call: Call) -> Native | None:
        """Return the original request if it used this API and the expert supports it.

        Only OpenAI's own servers read all kinds of items and tools: others are asked in a chat
        where a request has more than that can say.
        """
        native, expert = call.native, call.expert
        if native is None or not takes(expert, self.protocol):
            return None
        whole = has_all(expert)
        if (native.special and not whole) or takes(expert, "developer_role") is False:
            return None
        body = dict(native.body if not _is_hosting(call) or native.full is None else native.full)
        length = next((n for name in LENGTHS if (n := call.body.get(name))), None)
        if length is not None:  # so that it fits the window
            body["max_output_tokens"] = length
        if takes(expert, "reasoning") is False:
            body.pop("reasoning", None)
        if takes(expert, "parallel_tools") is False:
            body.pop("parallel_tool_calls", None)
        if isinstance(items := body["input"], list):
            body["input"] = list(_readable(items, seal_of(expert), whole=whole))
        return replace(native, body=body)

    def _reader(self, call: Call) -> ResponseReader:
        seal = partial(sealed, seal_of(call.expert))
        return ResponseReader(self._name, seal, hosted=_is_hosting(call))

    def _error_in(self, told: Json) -> Any:
        response = told.get("response", told)
        if isinstance(response, Mapping) and response.get("status") in FAILURES:
            return {"error": response.get("error") or {"message": f"it {response['status']}"}}
        return told if told.get("type") == "error" or is_error(told) else None


def has_all(expert: Expert) -> bool:
    """Whether an expert's server has all of the API."""
    host = urlsplit(expert.base_url or "").hostname or ""
    is_vendors = any(host == vendor or host.endswith(f".{vendor}") for vendor in VENDORS)
    return is_vendors or takes(expert, "hosted_tools") is True


def seal_of(expert: Expert) -> str:
    """A name for who can read what an expert has encrypted."""
    return hashlib.blake2s(f"{expert.base_url} {expert.model}".encode(), digest_size=4).hexdigest()


def sealed(seal: str, item: Json) -> Json:
    """An item whose encrypted thoughts name their reader and the id that they are bound to.

    Callers send them back as they are, but under the id that we gave the item, and perhaps when
    another expert answers: that one could only refuse them.
    """
    if item.get("type") != "reasoning" or not isinstance(content := item.get(ENCRYPTED), str):
        return item
    return {**item, ENCRYPTED: f"{seal}:{item.get('id', '')}:{content}"}


def _readable(items: Iterable[Any], seal: str, *, whole: bool) -> Iterator[Any]:
    """The items without thoughts that the expert could not read."""
    for item in items:
        if not isinstance(item, Mapping) or item.get("type") != "reasoning":
            yield item
        elif isinstance(content := item.get(ENCRYPTED), str):
            told = content.split(":", 2)
            if len(told) == 3 and told[0] == seal:
                named = {"id": told[1]} if told[1] else {}
                yield {**item, **named, ENCRYPTED: told[2]}
            elif len(told) != 3 and whole:  # the caller has it from there
                yield item
        elif not whole and (item.get("content") or item.get("summary")):
            yield item


def _is_hosting(call: Call) -> bool:
    """Whether the expert gets the request's hosted tools, which it is known to run."""
    asked = call.native is not None and call.native.full is not None
    return asked and takes(call.expert, "hosted_tools") is True
