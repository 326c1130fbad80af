"""Compose the embedded experts into one sparse model: Mixtral's architecture, SmolLM2's size.

Branch-Train-MiX (Sukhbaatar et al., arXiv 2403.07816): every specialist's feed-forward layers
become experts, the rest is shared, and only what chooses between them is trained.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collegium.experts.sparse import EXPERTS_PER_TOKEN
from collegium.experts.sparse.lora import ATTENTION, Adapter, mean_change

if TYPE_CHECKING:
    from torch import Tensor

MIXTRAL_NAMES = {"gate_proj": "w1", "down_proj": "w2", "up_proj": "w3"}
KEPT_FILES = (
    "chat_template.jinja",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
)


def compose(base: Path, weights: Path, adapters: list[Adapter], folder: Path) -> None:
    """Write the sparse model into `folder`: safetensors, configuration, tokenizer."""
    from safetensors.torch import load_file, save_file

    dense = load_file(base / "model.safetensors")
    added = load_file(weights)
    layers = json.loads((base / "config.json").read_text())["num_hidden_layers"]
    tensors = {name: tensor for name, tensor in dense.items() if ".mlp." not in name}
    tensors["lm_head.weight"] = dense["model.embed_tokens.weight"].clone()
    for layer in range(layers):
        tensors |= shared_attention(dense, added, adapters, layer)
        tensors |= feed_forward(dense, adapters, layer)
        gate = f"model.layers.{layer}.block_sparse_moe.gate.weight"
        tensors[gate] = added[f"layers.{layer}.gate"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = configuration(base, experts=len(adapters) + 1)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    for name in KEPT_FILES:
        shutil.copy(base / name, folder)


def shared_attention(
    dense: Mapping[str, Tensor], added: Mapping[str, Tensor], adapters: list[Adapter], layer: int
) -> dict[str, Tensor]:
    """Attention's changed projections: the base's, the adapters' mean change, the trained one."""
    changed = {}
    for projection in ATTENTION:
        name = f"model.layers.{layer}.self_attn.{projection}.weight"
        trained = f"layers.{layer}.{projection}"
        change = mean_change(adapters, layer, projection)
        change += added[f"{trained}.up"].float() @ added[f"{trained}.down"].float()
        changed[name] = (dense[name].float() + change).to(dense[name].dtype)
    return changed


def feed_forward(
    dense: Mapping[str, Tensor], adapters: list[Adapter], layer: int
) -> dict[str, Tensor]:
    """Every expert's three matrices by Mixtral's names; expert 0 is the base."""
    experts = {}
    for projection, mixtral in MIXTRAL_NAMES.items():
        weight = dense[f"model.layers.{layer}.mlp.{projection}.weight"]
        prefix = f"model.layers.{layer}.block_sparse_moe.experts"
        experts[f"{prefix}.0.{mixtral}.weight"] = weight
        for number, adapter in enumerate(adapters, start=1):
            merged = weight.float() + adapter.change(layer, projection).product()
            experts[f"{prefix}.{number}.{mixtral}.weight"] = merged.to(weight.dtype)
    return experts


def configuration(base: Path, *, experts: int) -> dict[str, Any]:
    """The base's configuration as a Mixtral's."""
    config: dict[str, Any] = json.loads((base / "config.json").read_text())
    for name in ("_model_name_or_path", "attention_bias", "mlp_bias", "pretraining_tp"):
        config.pop(name, None)
    return config | {
        "architectures": ["MixtralForCausalLM"],
        "model_type": "mixtral",
        "num_local_experts": experts,
        "num_experts_per_tok": EXPERTS_PER_TOKEN,
        "sliding_window": None,
        "tie_word_embeddings": False,
    }
