"""A streamed answer put together from its chunks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from collegium.experts.aggregation.base import Call, Json, Member, Reply


class Draft:
    """Grows with each chunk until the reply is whole."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._tools: dict[int, Json] = {}
        self._tokens: list[Any] = []
        self.finish_reason: str | None = None

    def take(self, chunk: Mapping[str, Any]) -> Json:
        """Add a chunk; returns its delta, `{}` without one. Only the first choice counts."""
        choices = chunk.get("choices") or [{}]
        delta = dict(choices[0].get("delta") or {})
        self._text.append(str(delta.get("content") or ""))
        for position, tool in enumerate(delta.get("tool_calls") or ()):
            self._merge(int(tool.get("index", position)), tool)
        self._tokens += (choices[0].get("logprobs") or {}).get("content") or ()
        self.finish_reason = choices[0].get("finish_reason") or self.finish_reason
        return delta

    def reply(self, call: Call, member: Member) -> Reply:
        """The whole answer."""
        message: Json = {"role": "assistant", "content": "".join(self._text)}
        if self._tools:
            message["tool_calls"] = [self._tools[index] for index in sorted(self._tools)]
        found = [token["logprob"] for token in self._tokens if token.get("logprob") is not None]
        logprob = sum(found) / len(found) if found else None
        logprobs = {"content": self._tokens} if self._tokens else None
        return Reply(call.seat, member, message, self.finish_reason, logprob, logprobs)

    def _merge(self, index: int, piece: Mapping[str, Any]) -> None:
        """Names and ids come whole, arguments in pieces."""
        tool = self._tools.setdefault(index, {"type": "function", "function": {"arguments": ""}})
        tool.update({k: v for k, v in piece.items() if k not in ("index", "function") and v})
        function = piece.get("function") or {}
        if function.get("name"):
            tool["function"]["name"] = function["name"]
        tool["function"]["arguments"] += function.get("arguments") or ""
