"""The events of an answer, the same for every upstream and every protocol that we speak."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

Json = dict[str, Any]


class AnswerEvent(Struct, frozen=True):
    """What happens while one expert answers."""


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
    """What the upstream says of the answer as a whole, such as `id` and `system_fingerprint`."""
    tried: tuple[Json, ...] = ()
    """Experts that were asked before it in vain, and why."""
    model: str | None = None
    """The model that the upstream says it is."""


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
    def prompt_tokens(self) -> int:
        """Tokens of the request."""
        return _whole_number(self.fields.get("prompt_tokens"))

    @property
    def completion_tokens(self) -> int:
        """Tokens of the answer."""
        return _whole_number(self.fields.get("completion_tokens"))


def _whole_number(value: object) -> int:
    return int(value) if isinstance(value, int | float) and 0 < value < 2**53 else 0
