"""What every mode works with: the members of a panel, one call, one reply, the protocol."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from collegium.experts.aggregation.events import Event
from collegium.registry.expert import Expert

Json = dict[str, Any]
Role = Literal["member", "aggregator", "judge", "verifier"]
Similarity = Callable[[Sequence[str]], Sequence[Sequence[float]]]
"""From n texts to their cosine similarities, shape (n, n)."""
Verifier = Callable[[str, str], Awaitable[float]]
"""From a question and an answer to how good the answer is; tests run, a proof is checked."""


@dataclass(frozen=True)
class Member:
    """A seat on a panel: an expert, its calibrated chance to be right, how it is to be asked."""

    expert: Expert
    forecast: float | None = None
    temperature: float | None = None
    """None leaves the caller's; samples of one expert need some."""
    seed: int | None = None
    instruction: str = ""
    """Said to this member alone, before the conversation."""


@dataclass(frozen=True)
class Panel:
    """Who is asked, best first (a cascade: cheapest first), and who combines."""

    members: tuple[Member, ...]
    aggregator: Member | None = None
    quorum: int = 1
    """Fewer answers than this are no panel's answer."""
    timeout_s: float | None = None
    """Members that take longer are dropped."""
    seed: int = 0


@dataclass(frozen=True)
class Call:
    """One question to one expert; `seat` is unique within a panel's answer."""

    seat: int
    expert: Expert
    body: Mapping[str, Any]
    role: Role = "member"


@dataclass(frozen=True)
class Reply:
    """A whole answer of one call."""

    seat: int
    member: Member
    message: Mapping[str, Any]
    finish_reason: str | None = None
    logprob: float | None = None
    """Mean log-probability of the answer's tokens; None where the expert does not tell."""
    logprobs: Mapping[str, Any] | None = field(default=None, repr=False)

    @property
    def text(self) -> str:
        """What it says."""
        return str(self.message.get("content") or "")


Ask = Callable[[Call], AsyncGenerator[Json]]
"""Ask one expert; yields the chunks of OpenAI's chat completions. Closing cancels."""


class Mode(Protocol):
    """A way to make one answer of several."""

    name: str
    verbatim: bool
    """Whether the answer is some member's own: then tool calls and schemas stay valid."""

    def run(self, panel: Panel, body: Mapping[str, Any], ask: Ask) -> AsyncGenerator[Event]:
        """Ask and combine; the last event is `Finished`. Raises ExpertError without a quorum."""
