"""What a model's checkpoint says of itself: its shape, its precision and how it is quantised."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collegium.errors import ProbeFailed

GIB = 2**30
BYTES = {"float32": 4.0, "bfloat16": 2.0, "float16": 2.0, "fp8": 1.0, "int8": 1.0, "int4": 0.5}
"""Bytes a weight, by number format. Scales and zero points of quantised weights add to that."""
PARTS = ("text_config", "llm_config", "language_config")
"""Where the configuration of a model that also sees or hears keeps that of its language model."""


@dataclass(frozen=True)
class Checkpoint:
    """The shape of a model, as far as memory and parallelism depend on it."""

    weights_gib: float
    """All weights, as they are stored and loaded."""
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    context: int
    """The longest sequence that it was made for, tokens."""
    dtype: str = "bfloat16"
    """The number format of its activations and of its KV cache."""
    hidden: int = 0
    intermediate: int = 0
    """Of a dense layer; 0 if it is unknown."""
    latent: int = 0
    """Of multi-head latent attention: numbers a token and layer; they can't be split."""
    quantization: str | None = None
    """The method in `quantization_config`, such as awq, gptq, fp8 or compressed-tensors."""
    model_type: str = ""
    architecture: str = ""

    def kv_bytes(self, degree: int = 1) -> float:
        """Bytes of KV cache a token takes on each of `degree` cards.

        Heads are split between cards; where there are fewer heads than cards, they are repeated. A
        layer with a sliding window counts like any other, so such models need less than this.
        """
        width = BYTES.get(self.dtype, 2.0)
        if self.latent:
            return self.layers * self.latent * width
        heads = max(1, -(-self.kv_heads // degree))
        return 2 * self.layers * heads * self.head_dim * width

    def lora_bytes(self, rank: int) -> float:
        """Bytes of one adapter of this rank on all linear layers (dense ones), in 16 bits."""
        attention = self.heads * self.head_dim
        kv = self.kv_heads * self.head_dim
        widths = 2 * (self.hidden + attention) + 2 * (self.hidden + kv)
        widths += 3 * (self.hidden + self.intermediate) if self.intermediate else 0
        return 2.0 * rank * widths * self.layers


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read `config.json` and the sizes of the weights; ProbeFailed says what is wrong with them."""
    config = read_config(folder)
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    text = language_part(config)
    try:
        return _checkpoint(config, text, size / GIB)
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as exc:
        problem = f"{type(exc).__name__}: {exc}"
        raise ProbeFailed(f"'{folder / 'config.json'}' has no usable shape: {problem}") from exc


def read_config(folder: Path) -> Mapping[str, Any]:
    """The object in a folder's `config.json`; ProbeFailed if there is none."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as exc:
        raise ProbeFailed(f"'{path}' can't be read: {type(exc).__name__}: {exc}") from exc
    if not isinstance(config, dict):
        raise ProbeFailed(f"'{path}' holds no object")
    return config


def language_part(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a configuration that describes the language model."""
    parts = (config.get(name) for name in PARTS)
    return next((part for part in parts if isinstance(part, dict)), config)


def _checkpoint(config: Mapping[str, Any], text: Mapping[str, Any], weights: float) -> Checkpoint:
    heads = _number(text, "num_attention_heads", "n_head", "num_heads")
    hidden = _number(text, "hidden_size", "n_embd", "d_model")
    latent = int(text.get("kv_lora_rank") or 0)
    names = config.get("architectures")
    layers = _number(text, "num_hidden_layers", "n_layer", "num_layers")
    kv_heads = int(text.get("num_key_value_heads") or heads)
    head_dim = int(text.get("head_dim") or hidden // max(heads, 1))
    if min(heads, hidden, layers, kv_heads, head_dim) < 1:
        raise ValueError("the numbers and sizes of layers and attention heads are at least 1")
    return Checkpoint(
        weights_gib=weights,
        layers=layers,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        context=int(text.get("max_position_embeddings") or text.get("n_positions") or 0),
        dtype=stored_dtype(config) or "bfloat16",
        hidden=hidden,
        intermediate=int(text.get("intermediate_size") or 0),
        latent=latent + int(text.get("qk_rope_head_dim") or 0) if latent else 0,
        quantization=quantization_of(config),
        model_type=str(config.get("model_type") or ""),
        architecture=str(names[0]) if isinstance(names, list) and names else "",
    )


def _number(text: Mapping[str, Any], usual: str, *others: str) -> int:
    """A number under its usual name, or one of older models' names."""
    name = next((name for name in (usual, *others) if name in text), usual)
    return int(text[name])


def stored_dtype(config: Mapping[str, Any]) -> str:
    """The number format that a configuration names; empty if it names none."""
    text = language_part(config)
    named = (part.get(key) for part in (config, text) for key in ("dtype", "torch_dtype"))
    return next((value.removeprefix("torch.") for value in named if isinstance(value, str)), "")


def quantization_of(config: Mapping[str, Any]) -> str | None:
    """The method by which a checkpoint is quantised; None if it is not."""
    for part in (config, language_part(config)):
        section = part.get("quantization_config") or part.get("compression_config")
        if isinstance(section, dict):
            return str(section.get("quant_method") or "compressed-tensors")
    return None
