"""What one call to an expert took."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from collegium.experts.clients.counting import prompt_tokens
from collegium.experts.clients.reply import Call, Reply
from collegium.experts.presets import with_preset

Status = Literal["ok", "error", "cancelled"]


@dataclass
class CallRecord:
    """One call; the tokens of one that was cut short are counted here and so `estimated`."""

    seat: int
    role: str
    expert: str
    status: Status = "cancelled"
    error: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = False
    cost_usd: float | None = 0.0
    """None where the expert's price is unknown."""
    latency_ms: float = 0.0
    ttft_ms: float | None = None
    energy_j: float | None = None


def count(record: CallRecord, call: Call, reply: Reply | None, *, asked: bool) -> None:
    """Take the upstream's usage; where it did not come any more, an estimate."""
    tokens = 0 if reply is None else reply.tokens
    if reply is not None and reply.usage is not None:
        record.prompt_tokens = reply.usage.prompt_tokens
        record.completion_tokens = reply.usage.completion_tokens
    cut_short = record.status == "cancelled" and asked
    if not record.prompt_tokens and (cut_short or tokens):
        record.estimated = True  # the usage comes last, and nobody waited for it
        record.prompt_tokens = prompt_tokens(with_preset(call).body)
        record.completion_tokens = record.completion_tokens or tokens
