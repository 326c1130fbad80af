"""Small random parts of a sparse mixture: a base model and adapters in files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from collegium.experts.sparse.composing import KEPT_FILES
from collegium.experts.sparse.lora import ATTENTION, Adapter

HIDDEN, INNER, LAYERS, RANK = 32, 48, 2, 3
FEED_FORWARD = ("gate_proj", "up_proj", "down_proj")


def llama(folder: Path, vocabulary: int = 64) -> Any:
    """A tiny random base model in float32, saved with files for a tokenizer."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=HIDDEN,
        intermediate_size=INNER,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
    )
    model: Any = LlamaForCausalLM(config)  # type: ignore[no-untyped-call]
    model.save_pretrained(folder)
    for name in KEPT_FILES:
        (folder / name).write_text("{}")
    return model


def adapter(folder: Path, seed: int) -> Adapter:
    """A random adapter with changes that are large enough to see."""
    sizes = dict.fromkeys(ATTENTION, (HIDDEN, HIDDEN)) | dict.fromkeys(
        FEED_FORWARD, (INNER, HIDDEN)
    )
    sizes |= {"v_proj": (HIDDEN // 2, HIDDEN), "down_proj": (HIDDEN, INNER)}
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for layer in range(LAYERS):
        for name, (out, into) in sizes.items():
            block = "self_attn" if name in ATTENTION else "mlp"
            prefix = f"base_model.model.model.layers.{layer}.{block}.{name}"
            down = torch.randn(RANK, into, generator=generator) / 5
            tensors[f"{prefix}.lora_A.weight"] = down
            tensors[f"{prefix}.lora_B.weight"] = torch.randn(out, RANK, generator=generator) / 5
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"r": RANK, "lora_alpha": 6}))
    return Adapter(folder)
