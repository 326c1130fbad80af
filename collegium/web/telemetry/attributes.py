"""The attributes of spans, under OpenTelemetry's names for generative AI where these exist.

No attribute contains a prompt, an answer or an upstream's message. `docs/guides/telemetry.md` lists
all attributes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import singledispatch

from collegium.errors import CollegiumError
from collegium.experts.bulk.lines import Line
from collegium.experts.clients.reply import Call, Reply
from collegium.experts.clients.usage import Tokens
from collegium.registry.bulk.batches import BatchRecord
from collegium.registry.decisions.records import OutcomeRecord
from collegium.registry.expert import Expert
from collegium.router.decision import Decision, Query

Value = str | int | float | bool
Attributes = Mapping[str, Value | None]
OPERATIONS = {"completions": "text_completion", "embeddings": "embeddings", "rerank": "rerank"}
"""Names of operations by endpoint; all other requests are chats."""


@singledispatch
def attributes_of(what: object) -> Attributes:
    """Return the attributes of a value; TypeError for values that spans do not describe."""
    raise TypeError(f"no span is of a {type(what).__name__}")


@attributes_of.register
def _(attributes: dict) -> Attributes:  # type: ignore[type-arg]  # of attributes, as they are
    return attributes


@attributes_of.register
def _(query: Query) -> Attributes:
    return {"gen_ai.request.model": query.requested_model}


@attributes_of.register
def _(decision: Decision) -> Attributes:
    forecast = decision.forecast
    return {
        "collegium.decision.id": decision.id,
        "collegium.expert": decision.expert,
        "collegium.policy": decision.policy,
        "collegium.reason": decision.reason,
        "collegium.application": decision.application,
        "collegium.forecast.cost_usd": forecast.cost_usd,
        "collegium.forecast.quality": forecast.quality,
        "collegium.forecast.latency_ms": forecast.latency_ms,
    }


@attributes_of.register
def _(record: OutcomeRecord) -> Attributes:
    return {
        "collegium.decision.id": record.decision_id,
        "collegium.expert": record.expert,
        "collegium.status": record.status,
        "collegium.cost_usd": record.cost_usd,
        "collegium.time_to_first_token_ms": record.ttft_ms,
        "gen_ai.usage.input_tokens": record.prompt_tokens,
        "gen_ai.usage.output_tokens": record.completion_tokens,
    }


@attributes_of.register
def _(call: Call) -> Attributes:
    return {
        "gen_ai.operation.name": operation_of(call),
        "gen_ai.provider.name": provider_of(call.expert),
        "gen_ai.request.model": call.expert.model,
        "gen_ai.request.stream": call.stream,
        "collegium.expert": call.expert.name,
        "collegium.role": call.role,
        "collegium.seat": call.seat,
    }


@attributes_of.register
def _(reply: Reply) -> Attributes:
    told: Attributes = {} if reply.usage is None else _of_tokens(reply.usage.tokens)
    return {
        **told,
        "gen_ai.response.id": _text(reply.began.head.get("id")),
        "gen_ai.response.model": reply.began.model,
        "collegium.queued_ms": reply.waits.total_ms,
    }


@attributes_of.register
def _(line: Line) -> Attributes:
    return {"collegium.batch.line": line.number}


@attributes_of.register
def _(job: BatchRecord) -> Attributes:
    return {"collegium.batch.id": job.id}


def operation_of(call: Call) -> str:
    """Return the operation's name in the conventions."""
    return "chat" if call.native is None else OPERATIONS.get(call.native.protocol, "chat")


def provider_of(expert: Expert) -> str:
    """Return the provider if it is known; `openai` is any address that speaks OpenAI's protocol."""
    if expert.kind == "litellm":
        return expert.model.partition("/")[0]
    return "vllm" if expert.engine is not None else expert.kind


def error_type(error: BaseException) -> str | None:
    """Return an error's code; None if the step was only cancelled."""
    if isinstance(error, CollegiumError):
        return error.code
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return None
    return type(error).__name__


def _of_tokens(tokens: Tokens) -> Attributes:
    return {
        "gen_ai.usage.input_tokens": tokens.input,
        "gen_ai.usage.output_tokens": tokens.output,
        "gen_ai.usage.cache_read.input_tokens": tokens.cached or None,
        "gen_ai.usage.reasoning.output_tokens": tokens.reasoning or None,
    }


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
