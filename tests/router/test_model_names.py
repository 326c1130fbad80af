"""Names of models: what is the same model, and what only looks like it."""

from __future__ import annotations

import pytest

from collegium.router.model_names import canonical, is_same_model, size_b


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("openai/gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("gpt4o", "gpt-4o"),
        ("Meta-Llama-3.1-8B-Instruct-Turbo", "llama-3.1-8b"),
        ("llama3.1:8b-instruct-q4_K_M", "llama-3.1-8b"),
        ("meta.llama3-1-70b-instruct-v1:0", "llama-3.1-70b"),
        ("llama-3.3-70b-versatile", "llama-3.3-70b"),
        ("llama3-70b-8192", "llama-3-70b"),
        ("us.anthropic.claude-3-5-sonnet-20241022-v2:0", "claude-3.5-sonnet"),
        ("anthropic/claude-3-5-haiku-latest", "claude-3.5-haiku"),
        ("claude-3-opus@20240229", "claude-3-opus"),
        ("gemini/gemini-2.5-pro-preview-05-06", "gemini-2.5-pro"),
        ("gemini-1.5-pro-002", "gemini-1.5-pro"),
        ("google/gemma-3-27b-it:free", "gemma-3-27b"),
        ("Qwen/Qwen2.5-7B-Instruct-AWQ", "qwen2.5-7b"),
        ("/models/Qwen2.5-7B-Instruct-Q4_K_M.gguf", "qwen2.5-7b"),
        ("Qwen3-30B-A3B-Instruct-2507-FP8", "qwen3-30b-a3b-instruct-2507"),
        ("mistralai/Mixtral-8x7B-Instruct-v0.1", "mixtral-8x7b"),
        ("microsoft/Phi-3-mini-128k-instruct", "phi-3-mini"),
        ("phi4", "phi-4"),
    ],
)
def test_the_same_model_in_other_words(name: str, known: str) -> None:
    """Providers, dates, quantisations and words such as `instruct` make no other model."""
    assert is_same_model(canonical(name), canonical(known))


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("gpt-4o-mini", "gpt-4o"),
        ("gpt-4.1", "gpt-4"),
        ("gpt-5.2", "gpt-5"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4"),
        ("gemini-1.5-flash-8b", "gemini-1.5-flash"),
        ("qwen2.5-coder-1.5b", "qwen2.5-1.5b"),
        ("qwen2.5-coder-1.5b", "qwen2.5"),
        ("deepseek-r1-distill-llama-70b", "deepseek-r1"),
        ("deepseek-r1:8b", "deepseek-r1"),
        ("gpt-4o-audio-preview", "gpt-4o"),
        ("llama-3.1-8b-lexi-uncensored", "llama-3.1-8b"),
    ],
)
def test_another_model_of_a_similar_name(name: str, known: str) -> None:
    """Another size, generation, distillation or training."""
    assert not is_same_model(canonical(name), canonical(known))


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("qwen2.5-coder-1.5b", 1.5),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", 0.135),
        ("mixtral-8x22b", 176.0),
        ("Qwen3-30B-A3B", 30.0),
        ("gemma-3n-e4b-it", 4.0),
        ("llama3.1:70b-instruct-q4_K_M", 70.0),
        ("model-w4a16", None),
        ("model-4bit", None),
        ("gpt-4o", None),
    ],
)
def test_a_name_may_tell_the_size(name: str, size: float | None) -> None:
    """In billions; active parameters and bits are no sizes."""
    assert size_b(name) == size
