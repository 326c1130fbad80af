"""What a model's configuration tells of its shape, and what is said of one that tells nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from collegium.errors import ProbeFailed
from collegium.experts.checkpoint import quantization_of, read_checkpoint, stored_dtype
from collegium.experts.sizing import context_of

LLAMA = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 8, "hidden_size": 4096,
    "intermediate_size": 14336, "max_position_embeddings": 8192, "torch_dtype": "bfloat16",
}  # fmt: skip


def folder(path: Path, config: Any) -> Path:
    (path / "config.json").write_text(json.dumps(config))
    return path


def test_the_shape_of_a_model_is_read(tmp_path: Path) -> None:
    """128 KiB of KV cache a token, as for Llama 3 8B."""
    shape = read_checkpoint(folder(tmp_path, LLAMA))
    assert (shape.layers, shape.heads, shape.kv_heads, shape.head_dim) == (32, 32, 8, 128)
    assert shape.kv_bytes() == 128 * 1024
    assert shape.kv_bytes(4) == 32 * 1024
    assert (shape.architecture, shape.dtype, shape.context) == (
        "LlamaForCausalLM",
        "bfloat16",
        8192,
    )


def test_an_adapter_takes_what_its_layers_do(tmp_path: Path) -> None:
    """About 80 MiB of rank 16 on all of Llama 3 8B's linear layers: 42 million numbers."""
    numbers = read_checkpoint(folder(tmp_path, LLAMA)).lora_bytes(16) / 2
    assert numbers == 41_943_040


def test_a_model_that_sees_is_read_by_its_language_model(tmp_path: Path) -> None:
    """Its quantisation and precision may stand at either place."""
    quantised = {"quantization_config": {"quant_method": "awq"}}
    config = {"model_type": "some_vl", "text_config": LLAMA | quantised}
    assert read_checkpoint(folder(tmp_path, config)).quantization == "awq"
    assert quantization_of({"compression_config": {"format": "x"}}) == "compressed-tensors"
    assert quantization_of({}) is None
    assert stored_dtype({"text_config": {"dtype": "torch.float16"}}) == "float16"


def test_latent_attention_is_counted_by_its_latent(tmp_path: Path) -> None:
    """As in DeepSeek-V3: 512 and 64 numbers a token and layer, whatever the heads."""
    latent = {"kv_lora_rank": 512, "qk_rope_head_dim": 64}
    assert read_checkpoint(folder(tmp_path, LLAMA | latent)).kv_bytes(8) == 32 * 576 * 2


def test_older_names_are_known(tmp_path: Path) -> None:
    """GPT-2's."""
    config = {"n_layer": 12, "n_head": 12, "n_embd": 768, "n_positions": 1024}
    shape = read_checkpoint(folder(tmp_path, config))
    assert (shape.layers, shape.kv_heads, shape.head_dim, shape.context) == (12, 12, 64, 1024)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, "KeyError: 'num_attention_heads'"),
        ([], "holds no object"),
        (LLAMA | {"num_attention_heads": 0}, "at least 1"),
        (LLAMA | {"hidden_size": "wide"}, "no usable shape"),
    ],
)
def test_a_configuration_without_a_shape_is_told(tmp_path: Path, config: Any, said: str) -> None:
    """By the file, and what is missing; its context window stays unknown."""
    path = folder(tmp_path, config)
    with pytest.raises(ProbeFailed, match=said):
        read_checkpoint(path)
    assert context_of(path, 1.0, "bfloat16") is None


def test_a_missing_configuration_is_told(tmp_path: Path) -> None:
    """By its path."""
    with pytest.raises(ProbeFailed, match=r"config\.json' can't be read"):
        read_checkpoint(tmp_path)
