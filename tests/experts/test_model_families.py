"""The parsers for a model: by its family, and by what its chat template spells out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from collegium.experts.model_families import Parsers, chat_template, parsers_of

QWEN = '{{ "<tool_call>" }}{% if enable_thinking %}<think>{% endif %}'


@pytest.mark.parametrize(
    ("family", "template", "tools", "reasoning"),
    [
        ("qwen3", QWEN, "hermes", "qwen3"),
        ("qwen3", "<tool_call>", "hermes", None),  # an Instruct model, which does not reason
        ("qwen3_moe", "<tool_call>\n<function=", "qwen3_coder", None),
        ("qwen2", "<tool_call>", "hermes", None),
        ("qwen2", "<think>", "hermes", "deepseek_r1"),  # DeepSeek-R1-Distill-Qwen
        ("llama", "<|python_tag|>", "llama3_json", None),
        ("llama", "", "hermes", None),
        ("mistral", "[TOOL_CALLS]", "mistral", None),
        ("mistral3", "[TOOL_CALLS][THINK]", "mistral", "mistral"),
        ("mistral", "", "hermes", None),  # Zephyr
        ("phi3", "<|tool|>", "phi4_mini_json", None),
        ("gpt_oss", "", "openai", "openai_gptoss"),
        ("deepseek_v3", "<think>", "deepseek_v3", "deepseek_r1"),
        ("granite", "<tool_call>", "granite", None),
        ("unheard_of", "<tool_call>", "hermes", None),
    ],
)
def test_parsers_go_by_family_and_template(
    tmp_path: Path, family: str, template: str, tools: str, reasoning: str | None
) -> None:
    """A reasoning parser only for a model that reasons: it would swallow another's answers."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": family}))
    config = {"chat_template": template}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    assert parsers_of(tmp_path) == Parsers(tools, reasoning)


def test_mistrals_own_releases_have_no_chat_template(tmp_path: Path) -> None:
    """But their tokenizer."""
    (tmp_path / "config.json").write_text('{"model_type": "mistral"}')
    (tmp_path / "tekken.json").touch()
    assert parsers_of(tmp_path).tools == "mistral"


def test_a_model_that_sees_is_known_by_its_language_model(tmp_path: Path) -> None:
    """Where the outer configuration's name is unknown."""
    config = {"model_type": "some_vl", "text_config": {"model_type": "qwen3"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "chat_template.jinja").write_text(QWEN)
    assert parsers_of(tmp_path) == Parsers("hermes", "qwen3")


def test_templates_may_be_several_or_none(tmp_path: Path) -> None:
    """And files that are broken tell nothing."""
    file = tmp_path / "tokenizer_config.json"
    file.write_text(json.dumps({"chat_template": [{"name": "tool_use", "template": "<think>"}]}))
    assert chat_template(tmp_path) == "<think>"
    file.write_text("[")
    assert chat_template(tmp_path) == ""
    assert parsers_of(tmp_path) == Parsers("hermes")
