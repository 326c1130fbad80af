"""The usage of one call to an expert."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Literal

from msgspec.structs import replace

from collegium.experts.clients.counting import estimated_tokens, prompt_tokens
from collegium.experts.clients.events import Json
from collegium.experts.clients.reply import Call, Reply
from collegium.experts.clients.tokenizing import Tokenizers
from collegium.experts.clients.usage import Tokens
from collegium.experts.presets import with_preset
from collegium.registry.expert import Expert

Status = Literal["ok", "error", "cancelled"]
NEARLY = 0.25
"""The pieces of a stream count as its tokens if they are at least this share of the estimate by
text.
"""
NOTICED_S = 0.5
"""How long an upstream may write until it notices that its stream was left. We close the connection
at once (0.3 ms on one machine); the rest is the way there, and what the upstream has under way."""
NO_TOKENS = Tokens()


@dataclass
class CallRecord:
    """One call; tokens that the upstream didn't report are counted here and marked as
    `estimated`.
    """

    seat: int
    role: str
    expert: str
    status: Status = "cancelled"
    error: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    """Prompt tokens read from the provider's cache."""
    cache_write_tokens: int = 0
    """Prompt tokens written to the provider's cache."""
    reasoning_tokens: int = 0
    """Output tokens spent on reasoning."""
    estimated: bool = False
    cost_usd: float | None = 0.0
    """None if the expert's price is unknown."""
    attempts_usd: float | None = None
    """The cost of failed attempts; None if none was billed, or if a price is unknown."""
    attempts: list[Json] = field(default_factory=list)
    """Failed attempts that may be billed: their experts, tokens and dollars."""
    latency_ms: float = 0.0
    ttft_ms: float | None = None
    energy_j: float | None = None

    def add(self, tokens: Tokens) -> None:
        """Count tokens that were paid for."""
        self.prompt_tokens += tokens.input
        self.completion_tokens += tokens.output
        self.cached_tokens += tokens.cached
        self.cache_write_tokens += tokens.cache_write
        self.reasoning_tokens += tokens.reasoning


def count(
    record: CallRecord,
    call: Call,
    reply: Reply | None,
    *,
    expert: Expert,
    asked: bool,
    tokenizers: Tokenizers,
    unheard: int = 0,
    most: int | None = None,
) -> Tokens:
    """Take the upstream's usage, and count here what it doesn't report.

    `expert` is who answered. The usage comes last, and nobody may have waited for it; then
    `unheard` are the tokens that it may bill for an answer of which nothing came. Of a stream that
    was left, those count that it may have written meanwhile, at the pace so far and at least
    `unheard`, but `most` of all together.
    """
    left = record.status == "cancelled" and reply is not None
    if left and reply is not None:
        reply.overhear()
    told = NO_TOKENS if reply is None or reply.usage is None else reply.usage.tokens
    tokens = told
    cut_short = record.status == "cancelled" and asked
    said = reply is not None and reply.tokens > 0
    if not told.input and (cut_short or said or told.output):
        tokens = replace(tokens, input=read_by(call, expert, tokenizers))
    if reply is not None and said and (not told.output or record.status != "ok"):
        said_tokens = said_by(reply, expert, tokenizers)
        if left and expert.engine is None:  # engines that run here stop at once
            said_tokens += in_flight(reply, said_tokens, most, least=unheard)
        tokens = replace(tokens, output=max(told.output, said_tokens))
    if reply is None and cut_short:
        tokens = replace(tokens, output=unheard)
    record.estimated = tokens != told
    record.add(tokens)
    return tokens


def in_flight(reply: Reply, said: int, most: int | None, *, least: int = 0) -> int:
    """About how many tokens an upstream writes until it notices that nobody reads its stream.

    At the pace so far, but no more than have come, or than the `least` that is forecast if that is
    more: of a stream that has just begun, the pace is not known. Never more than it may write.
    """
    if reply.finished or reply.first_at is None:
        return 0
    lasted_s = max(time.perf_counter() - reply.first_at, NOTICED_S)
    further = max(math.ceil(said * NOTICED_S / lasted_s), least)
    return further if most is None else max(min(further, most - said), 0)


def read_by(call: Call, expert: Expert, tokenizers: Tokenizers) -> int:
    """About how many tokens of a call an expert reads."""
    body = with_preset(call).body
    return prompt_tokens(
        body, lambda text: tokenizers.count(text, expert.model), model=expert.model
    )


def said_by(reply: Reply, expert: Expert, tokenizers: Tokenizers) -> int:
    """Count the tokens of a reply so far: its pieces, or its text if that has clearly more or fewer
    tokens.

    Without a tokenizer, the text's tokens are estimated from its bytes, which may be half of them:
    then the larger number counts.
    """
    if reply.streamed and expert.engine is not None:  # vLLM sends each token by itself
        return reply.tokens
    counted = tokenizers.counted(reply.text, expert.model)
    if counted is None:
        estimated = estimated_tokens(reply.text) if reply.text else 0
        return max(reply.tokens, estimated) if reply.streamed else estimated
    if reply.streamed and abs(reply.tokens - counted) <= max(NEARLY * counted, 1):
        return reply.tokens
    return counted
