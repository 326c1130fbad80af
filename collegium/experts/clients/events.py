"""The events of an answer, common to all upstreams and protocols."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from collegium.experts.clients.usage import Tokens, tokens_of

Json = dict[str, Any]


class AnswerEvent(Struct, frozen=True, tag=True, omit_defaults=True):
    """An event while one expert answers. Its tag names it where it is kept."""


class OfChoice(AnswerEvent, frozen=True, kw_only=True):
    """An event of one choice: `n` above 1 asks for several answers."""

    choice: int = 0
    extra: Json | None = None
    """Fields of the choice that came with it, such as `logprobs`."""


class Piece(OfChoice, frozen=True):
    """A part of what the answer consists of."""


class Began(AnswerEvent, frozen=True):
    """An expert has begun to answer: the first event of every reply."""

    expert: str
    head: Json = {}
    """Fields of the answer as a whole, such as `id` and `system_fingerprint`."""
    tried: tuple[Json, ...] = ()
    """Experts that were asked before it in vain, and why."""
    model: str | None = None
    """The model that the upstream says it is."""
    native: bool = False
    """Whether it answers in the request's own protocol: then `Raw` events tell all of it."""
    hosted: bool = False
    """Whether the expert was given the tools that it runs itself."""
    adjusted: tuple[str, ...] = ()
    """Adjustments of the request that make it fit the expert."""
    dropped: tuple[str, ...] = ()
    """Parameters of the request that the upstream does not take and did not get."""


class Raw(AnswerEvent, frozen=True):
    """An upstream's own event, for callers of the same protocol; other events carry its meaning."""

    fields: Json


class Text(Piece, frozen=True):
    """A piece of the answer's text."""

    text: str


class Reasoning(Piece, frozen=True):
    """A piece of what the model thought before it answered."""

    text: str
    field: str = "reasoning_content"
    """The upstream's name for it: `reasoning_content` or `reasoning`."""


class ToolCall(Piece, frozen=True):
    """A piece of one tool call: id and name come once, the arguments in pieces."""

    index: int
    piece: Json


class Other(Piece, frozen=True):
    """Further fields of the message, such as `refusal`, `audio` or `annotations`."""

    fields: Json


class Finish(OfChoice, frozen=True):
    """A choice is complete."""

    reason: str | None


class Usage(AnswerEvent, frozen=True):
    """The tokens that the answer took, as the upstream counted them."""

    fields: Json

    @property
    def tokens(self) -> Tokens:
        """The tokens by kind."""
        return tokens_of(self.fields)

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the request."""
        return self.tokens.input

    @property
    def completion_tokens(self) -> int:
        """Tokens of the answer."""
        return self.tokens.output
