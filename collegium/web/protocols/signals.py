"""The signals of a chat request from which its application is recognised."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from collegium.router.applications.background_jobs import background_job
from collegium.router.applications.signals import Signals
from collegium.router.conversation import text_of

SYSTEM = ("system", "developer")


def signals_of(
    asked: Mapping[str, Any], text: str, *, tag: str | None = None, tenant: str = ""
) -> Signals:
    """The signals of a body, whose last user message is `text`."""
    messages: Sequence[Mapping[str, Any]] = asked["messages"]
    system = "\n".join(text_of(message) for message in messages if message["role"] in SYSTEM)
    return Signals(
        tag=tag,
        system=system,
        tools=tuple(_tools(asked)),
        schema=_schema(asked.get("response_format")),
        tenant=tenant,
        background=background_job(text, system),
    )


def _tools(asked: Mapping[str, Any]) -> Iterator[str]:
    """The names of tools, and of functions as older clients send them."""
    for tool in [*_list(asked.get("tools")), *_list(asked.get("functions"))]:
        if isinstance(tool, Mapping):
            function = tool.get("function")
            holder = function if isinstance(function, Mapping) else tool
            yield str(holder.get("name") or tool.get("type") or "")


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _schema(response_format: Any) -> str:
    """Return the answer's schema as JSON; None if any JSON is allowed."""
    described = response_format.get("json_schema") if isinstance(response_format, dict) else None
    if not isinstance(described, dict):
        return ""
    return json.dumps(described.get("schema") or described, sort_keys=True)
