"""vLLM's parsers of tool calls and of reasoning for a model, by its family.

Sources: vLLM's `docs/features/tool_calling.md` and `docs/features/reasoning_outputs.md`, and the
parsers that vLLM 0.32 and 0.33 register; a test compares the names with the installed build. A chat
template that shows the format of calls takes precedence over the family, because many models are
fine-tuned to another family's format.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collegium.errors import ProbeFailed
from collegium.experts.checkpoint import language_part, read_config

USUAL_TOOLS = "hermes"
"""The format of most fine-tuned models: JSON between <tool_call> and </tool_call>."""


@dataclass(frozen=True)
class Parsers:
    """Names of vLLM's parsers. None: for tools, the chat template decides; for reasoning, no
    parser."""

    tools: str | None = None
    reasoning: str | None = None


FAMILIES = {
    "apertus": Parsers("apertus"),
    "deepseek_v3": Parsers("deepseek_v3", "deepseek_r1"),
    "deepseek_v32": Parsers("deepseek_v32", "deepseek_v3"),
    "ernie4_5": Parsers("ernie45", "ernie45"),
    "ernie4_5_moe": Parsers("ernie45", "ernie45"),
    "gemma4": Parsers("gemma4", "gemma4"),
    "gemma4_text": Parsers("gemma4", "gemma4"),
    "glm4_moe": Parsers("glm45", "glm45"),
    "gpt_oss": Parsers("openai", "openai_gptoss"),
    "granite": Parsers("granite"),
    "granitemoe": Parsers("granite"),
    "granitemoehybrid": Parsers("granite4"),
    "hunyuan_v1_moe": Parsers("hunyuan_a13b", "hunyuan_a13b"),
    "internlm2": Parsers("internlm"),
    "jamba": Parsers("jamba"),
    "kimi_k2": Parsers("kimi_k2", "kimi_k2"),
    "lfm2": Parsers("lfm2"),
    "lfm2_moe": Parsers("lfm2"),
    "llama4": Parsers("llama4_pythonic"),
    "llama4_text": Parsers("llama4_pythonic"),
    "longcat_flash": Parsers("longcat"),
    "minimax_m2": Parsers("minimax_m2", "minimax_m2_append_think"),
    "ministral": Parsers(reasoning="mistral"),
    "mistral": Parsers(reasoning="mistral"),
    "mistral3": Parsers(reasoning="mistral"),
    "nemotron_h": Parsers(reasoning="nemotron_v3"),
    "olmo3": Parsers("olmo3", "olmo3"),
    "qwen2": Parsers(reasoning="deepseek_r1"),
    "qwen2_moe": Parsers(reasoning="deepseek_r1"),
    "qwen3": Parsers(reasoning="qwen3"),
    "qwen3_moe": Parsers(reasoning="qwen3"),
    "qwen3_next": Parsers(reasoning="qwen3"),
    "seed_oss": Parsers("seed_oss", "seed_oss"),
    "step3": Parsers("step3", "step3"),
}
"""By `model_type` in the checkpoint's config.json. If an entry has no parser of tool calls, the
chat template decides, because models of that architecture use different formats."""
CALLS = (
    ("<function=", "qwen3_coder"),
    ("<tool_call>", "hermes"),
    ("[TOOL_CALLS]", "mistral"),
    ("<|python_tag|>", "llama3_json"),
    ("dictionary of argument name", "llama3_json"),
    ("<|tool|>", "phi4_mini_json"),
)
"""How chat templates write a call, the most distinctive first."""
TEKKEN = "tekken.json"
"""The tokenizer of Mistral's own releases, which have no chat template."""
THINKS = ("<think>", "</think>", "[THINK]", "<seed:think>", "enable_thinking")
"""A word that the chat templates of reasoning models contain."""
ALWAYS_THINKS = frozenset({"gpt_oss"})


def parsers_of(folder: Path) -> Parsers:
    """Return the parsers for a model's folder; of an unknown family, by its chat template."""
    try:
        config = read_config(folder)
    except ProbeFailed:
        return Parsers(USUAL_TOOLS)  # vLLM will say what is wrong
    types = (str(part.get("model_type")) for part in (config, language_part(config)))
    family = next((name for name in types if name in FAMILIES), "")
    known, template = FAMILIES.get(family, Parsers()), chat_template(folder)
    usual = "mistral" if (folder / TEKKEN).is_file() else USUAL_TOOLS
    spelt = next((name for mark, name in CALLS if mark in template), usual)
    reasons = family in ALWAYS_THINKS or any(mark in template for mark in THINKS)
    return Parsers(known.tools or spelt, known.reasoning if reasons else None)


def chat_template(folder: Path) -> str:
    """Return the model's chat templates, concatenated; empty if it has none."""
    try:
        return (folder / "chat_template.jinja").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        pass
    try:
        found: Any = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        given = found.get("chat_template") or ""
        if isinstance(given, list):  # several, by name
            return "\n".join(str(each.get("template", "")) for each in given)
        return str(given)
    except (OSError, ValueError, AttributeError, RecursionError):
        return ""
