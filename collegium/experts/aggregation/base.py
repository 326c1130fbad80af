"""The building blocks of every mode: the members of a panel, their answers, and the protocol."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from collegium.experts.aggregation.events import Event
from collegium.experts.clients.events import AnswerEvent
from collegium.experts.clients.native import Native
from collegium.experts.clients.openai_shape import message_events
from collegium.experts.clients.reply import Answer, Call, Reply
from collegium.registry.expert import Expert

Similarity = Callable[[Sequence[str]], Sequence[Sequence[float]]]
"""From n texts to their cosine similarities, shape (n, n)."""


@dataclass(frozen=True)
class Member:
    """A seat on a panel: an expert, its calibrated chance to be right, how it is to be asked."""

    expert: Expert
    forecast: float | None = None
    temperature: float | None = None
    """None keeps the caller's temperature; several samples of one expert need a positive one."""
    seed: int | None = None
    instruction: str = ""
    """An instruction for this member only, placed before the conversation."""
    instead: tuple[Expert, ...] = ()
    """Experts that may take the seat if this one fails before it begins, best first."""


@dataclass(frozen=True)
class Panel:
    """The members, best first (in a cascade: cheapest first), and the aggregator."""

    members: tuple[Member, ...]
    aggregator: Member | None = None
    quorum: int = 1
    """Fewer answers than this are no panel's answer."""
    timeout_s: float | None = None
    """Members that take longer are dropped."""
    seed: int = 0
    stream: bool = True
    """Whether the answer is streamed."""
    native: Native | None = None
    """The original request, for a single expert that supports its protocol."""


@dataclass(frozen=True)
class MemberAnswer:
    """A whole answer of one call."""

    seat: int
    member: Member
    message: Mapping[str, Any]
    finish_reason: str | None = None
    logprob: float | None = None
    """Mean log-probability of the answer's tokens; None if the expert doesn't report it."""
    logprobs: Any = field(default=None, repr=False)
    """Log-probabilities as the expert reported them, in its own format."""

    @staticmethod
    def of(call: Call, member: Member, answer: Answer) -> MemberAnswer:
        """The first choice of an answer."""
        choice = answer.choices[0]
        logprobs = choice.get("logprobs")
        found = [t["logprob"] for t in told_tokens(logprobs) if is_logprob(t.get("logprob"))]
        logprob = sum(found) / len(found) if found else None
        reason = choice["finish_reason"]
        return MemberAnswer(call.seat, member, choice["message"], reason, logprob, logprobs)

    @property
    def text(self) -> str:
        """The text of the answer."""
        return str(self.message.get("content") or "")

    def events(self) -> list[AnswerEvent]:
        """The answer as events."""
        choice: dict[str, Any] = {"message": self.message, "finish_reason": self.finish_reason}
        if self.logprobs is not None:
            choice["logprobs"] = self.logprobs
        return message_events(choice)


def told_tokens(logprobs: Any) -> list[Mapping[str, Any]]:
    """Return the tokens with log-probabilities; none if they have another API's format."""
    content = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    return [t for t in content if isinstance(t, Mapping)] if isinstance(content, list) else []


def is_logprob(value: Any) -> bool:
    """Whether a value can be a log-probability; rounding puts some a little above 0."""
    return isinstance(value, int | float) and -1e6 < value < 1


Ask = Callable[[Call], AbstractAsyncContextManager[Reply]]
"""Ask one expert. Leaving the block cancels the call."""


class Mode(Protocol):
    """A way to make one answer of several."""

    name: str
    verbatim: bool
    """Whether the answer is some member's own: then tool calls and schemas stay valid."""

    def run(self, panel: Panel, body: Mapping[str, Any], ask: Ask) -> AsyncGenerator[Event]:
        """Ask the members and combine their answers; yield the answer's events, ended by `Finish`,
        and events that describe its progress. Raise ExpertError without a quorum.
        """
