"""The models of `collegium bench sparse`: the pool's mixture, and larger ones with random
weights.
"""

from __future__ import annotations

from pathlib import Path

from collegium.errors import SetupError
from collegium.evals.bench.sparse.run import Model
from collegium.experts.embedded import Progress
from collegium.experts.sparse.model import ensure_sparse_model

MIXTURE, OLMOE = "mixture", "olmoe"


def found(name: str, layers: int, cache: Path, scratch: Path, progress: Progress) -> Model:
    """A model by its name, or in a folder of its own."""
    if name == MIXTURE:
        return Model(MIXTURE, ensure_sparse_model(cache, progress))
    if name == OLMOE:
        return olmoe(layers, scratch / OLMOE)
    folder = Path(name)
    if not (folder / "config.json").is_file():
        raise SetupError(f"--model is {MIXTURE}, {OLMOE} or a model's folder, not '{name}'")
    return Model(folder.name, folder)


def olmoe(layers: int, folder: Path) -> Model:
    """OLMoE-1B-7B's layers with random weights, fewer of them: 0.8 GB each."""
    from transformers import OlmoeConfig

    config = OlmoeConfig(
        architectures=["OlmoeForCausalLM"],
        hidden_size=2048,
        intermediate_size=1024,
        num_attention_heads=16,
        num_key_value_heads=16,
        num_experts=64,
        num_experts_per_tok=8,
        num_hidden_layers=layers,
        vocab_size=50304,
        max_position_embeddings=4096,
    )
    config.save_pretrained(folder)
    return Model(f"{OLMOE}, {layers} layers", folder, dummy=True)
