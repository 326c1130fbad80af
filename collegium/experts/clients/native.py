"""A request in its caller's own protocol, for experts that support it, too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from collegium.experts.clients.events import Json


@dataclass(frozen=True)
class Native:
    """The original request, for experts that support its protocol, so that nothing is lost."""

    protocol: str
    """As in `Expert.capabilities`: a conversation protocol or an endpoint."""
    body: Mapping[str, Any]
    """Without `model` and `stream`."""
    headers: Mapping[str, str] = field(default_factory=dict)
    special: bool = False
    """Whether only the protocol's vendor supports all of its content."""
    full: Mapping[str, Any] | None = None
    """The body including tools hosted by the vendor, if there are any."""
    rich: Callable[[], Json] | None = None
    """Fields of the chat completion with what only the vendor's models take."""
    needed_for: str | None = None
    """Features that only this endpoint can provide, in words; None if a chat is equivalent."""
    prompt_tokens: int | None = None
    """The prompt's tokens, if they are known better than by its text."""


@runtime_checkable
class CountsTokens(Protocol):
    """A client whose expert counts the tokens of a prompt."""

    async def count_tokens(self, native: Native) -> int: ...
