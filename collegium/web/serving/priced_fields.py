"""Fields of requests that are billed by tokens alone; others may change an answer's price.

OpenAI bills `web_search_options` a search, OpenRouter `plugins` a use, and its `provider` chooses
whose price applies. No list of such fields is ever complete, so a request under a dollar limit may
have only those that are known; the operator adds others by the setting `budget_fields`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from collegium.errors import BadRequest, NoFeasibleExpert
from collegium.experts.presets import TIER
from collegium.registry.expert import Expert
from collegium.registry.prices import SERVICE_TIERS
from collegium.web.serving.prepare import Prepared

PROMPT = frozenset({
    "cache_control", "chat_template", "chat_template_kwargs", "context_management", "documents",
    "dimensions", "encoding_format", "function_call", "functions", "include", "input",
    "input_type", "instruction",
    "instructions", "messages", "mm_processor_kwargs", "output_config", "output_format",
    "parallel_tool_calls", "prompt", "query", "response_format", "return_documents", "suffix",
    "system", "text", "tool_choice", "tools", "top_n", "truncate", "truncation",
})  # fmt: skip
SAMPLING = frozenset({
    "add_generation_prompt", "add_special_tokens", "audio", "bad_words", "best_of", "cache_prompt",
    "continue_final_message", "detokenize", "dry_multiplier", "echo", "enable_thinking",
    "frequency_penalty", "grammar", "guided_choice", "guided_decoding_backend", "guided_grammar",
    "guided_json", "guided_regex", "ignore_eos", "include_reasoning", "include_stop_str_in_output",
    "length_penalty", "logit_bias", "logprobs", "max_completion_tokens", "max_output_tokens",
    "max_tokens", "max_tool_calls", "min_p", "min_tokens", "mirostat", "mirostat_eta",
    "mirostat_tau", "modalities", "n", "presence_penalty", "prompt_logprobs", "random_seed",
    "reasoning", "reasoning_effort", "reasoning_format", "repeat_penalty", "repetition_penalty",
    "return_token_ids", "return_tokens_as_token_ids", "safe_prompt", "seed", "service_tier",
    "skip_special_tokens", "spaces_between_special_tokens", "stop", "stop_sequences",
    "stop_token_ids", "structured_outputs", "temperature", "thinking", "thinking_budget", "top_a",
    "top_k", "top_logprobs", "top_p", "truncate_prompt_tokens", "typical_p", "verbosity",
})  # fmt: skip
ABOUT = frozenset({
    "cache_salt", "client_metadata", "metadata", "priority", "prompt_cache_key",
    "prompt_cache_retention", "request_id", "safety_identifier", "session_id", "store",
    "stream_options", "usage", "user",
})  # fmt: skip
"""Of the request or its caller: `usage` asks OpenRouter to tell what it bills."""
BY_TOKENS = PROMPT | SAMPLING | ABOUT
TIERS = frozenset({"auto", "default", "standard", "standard_only", *SERVICE_TIERS})
"""Service tiers whose price is that of the usual one, or known by an expert's prices."""
OF_CALLERS = (
    *("function", "custom", "local_shell", "shell", "apply_patch", "namespace", "bash_"),
    *("text_editor_", "computer_", "memory_"),
)
"""Beginnings of the types of tools that the caller runs itself."""


def by_tokens(request: Prepared, further: Collection[str]) -> Prepared:
    """The request without tools that its provider runs; BadRequest where a field is not known.

    `further` are the fields and types of tools that the operator allows besides.
    """
    native = request.native
    _check(request.body, further)
    if native is None:
        return request
    _check(native.body, further)
    hosted = _tools(native.full or {}) if native.full is not None else ()
    if native.full is None or all(_is_known(tool, further) for tool in hosted):
        return request
    return replace(request, native=replace(native, full=None))


def with_known_presets(
    experts: Sequence[Expert], named: str, further: Collection[str]
) -> Sequence[Expert]:
    """The experts whose presets set only fields that a request may have under a dollar limit.

    Raises NoFeasibleExpert if the `named` one is not among them, or none is.
    """
    unknown = {e.name for e in experts if _has_unknown_preset(e, further)}
    if not unknown:
        return experts
    known = [expert for expert in experts if expert.name not in unknown]
    if named in unknown or not known:
        raise NoFeasibleExpert(
            f"A limit in dollars (a budget, or max_cost_usd) binds this request, and the preset "
            f"of '{named if named in unknown else min(unknown)}' sets a field that may change the "
            "price of an answer; the operator can allow it in the setting budget_fields",
            "model",
        )
    return known


def _has_unknown_preset(expert: Expert, further: Collection[str]) -> bool:
    """Engines that run here bill nothing, whatever their presets set."""
    if expert.preset is None or expert.engine is not None:
        return False
    return not is_by_tokens(expert.preset["body"], further)


def is_by_tokens(body: Mapping[str, Any], further: Collection[str]) -> bool:
    """Whether a body has only fields that are billed by tokens, or that the operator allows."""
    return not any(_unknown(body, further))


def _check(body: Mapping[str, Any], further: Collection[str]) -> None:
    for where, name in _unknown(body, further):
        raise _refused(where, name)


def _unknown(body: Mapping[str, Any], further: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield the fields that may change a price, as a path and a name."""
    for name in sorted(body.keys() - BY_TOKENS):
        if body[name] is not None and name not in further:
            yield name, name
    tier = body.get(TIER)
    if tier is not None and TIER not in further and not (isinstance(tier, str) and tier in TIERS):
        yield TIER, TIER
    for place, tool in enumerate(_tools(body)):
        if not _is_known(tool, further):
            yield f"tools[{place}].type", str(tool["type"])[:64]


def _tools(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    tools = body.get("tools")
    return [t for t in tools if isinstance(t, Mapping)] if isinstance(tools, list) else []


def _is_known(tool: Mapping[str, Any], further: Collection[str]) -> bool:
    kind = tool.get("type")
    return kind is None or kind in further or str(kind).startswith(OF_CALLERS)


def _refused(where: str, name: str) -> BadRequest:
    return BadRequest(
        f"'{name}' may change the price of an answer, and a limit in dollars (a budget, or "
        "max_cost_usd) binds this request: leave it out, or ask the operator to allow it "
        "in the setting budget_fields",
        where,
    )
