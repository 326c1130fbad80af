"""Smaller sparse models: what is not used can go, what is the same can be merged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from collegium.errors import SetupError
from collegium.evals.training.sparse.pruning import plan, shrink
from collegium.experts.sparse.composing import KEPT_FILES

EXPERTS, HIDDEN, LAYERS = 4, 32, 2
TOKENS = torch.tensor([[3, 9, 27, 11, 40, 2]])


def mixtral(folder: Path, *, twins: bool) -> Any:
    """A tiny model; with `twins`, experts 1 and 3 are copies of 0 and 2."""
    from transformers import MixtralConfig, MixtralForCausalLM

    torch.manual_seed(3)
    config = MixtralConfig(
        vocab_size=64,
        hidden_size=HIDDEN,
        intermediate_size=48,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_local_experts=EXPERTS,
        num_experts_per_tok=2,
    )
    model: Any = MixtralForCausalLM(config)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for layer in model.model.layers:
            experts = layer.mlp.experts
            for copy, origin in ((1, 0), (3, 2)) if twins else ():
                experts.gate_up_proj[copy] = experts.gate_up_proj[origin]
                experts.down_proj[copy] = experts.down_proj[origin]
            layer.mlp.gate.weight.normal_()
            if twins:
                layer.mlp.gate.weight[[1, 3]] = layer.mlp.gate.weight[[0, 2]]
    folder.mkdir()
    model.save_pretrained(folder)
    for name in KEPT_FILES:
        (folder / name).write_text("{}")
    return model


def gates(model: Any) -> torch.Tensor:
    return torch.stack([layer.mlp.gate.weight.detach() for layer in model.model.layers])


def logits(folder: Path) -> torch.Tensor:
    """What a saved model says."""
    from transformers import AutoModelForCausalLM

    with torch.inference_mode():
        found: torch.Tensor = AutoModelForCausalLM.from_pretrained(folder)(TOKENS).logits
    return found


@pytest.mark.filterwarnings("ignore")  # of transformers while loading
def test_merging_keeps_what_copies_computed(tmp_path: Path) -> None:
    """Two copies and their gates in one expert: each layer's function is that of one of them."""
    model = mixtral(tmp_path / "whole", twins=True)
    mass = torch.tensor([[0.4, 0.1, 0.3, 0.2]] * LAYERS)
    found = plan(mass, gates(model), keep=2)
    (tmp_path / "merged").mkdir()
    (tmp_path / "pruned").mkdir()
    shrink(tmp_path / "whole", tmp_path / "merged", found, mass)
    shrink(tmp_path / "whole", tmp_path / "pruned", found)

    assert found.kept == ((0, 2),) * LAYERS
    assert found.stands_for == ((0, 0, 1, 1),) * LAYERS
    # Copies average to themselves, so merging changes nothing that pruning does not.
    torch.testing.assert_close(logits(tmp_path / "merged"), logits(tmp_path / "pruned"))
    size = (tmp_path / "merged" / "model.safetensors").stat().st_size
    assert size < 0.75 * (tmp_path / "whole" / "model.safetensors").stat().st_size


@pytest.mark.filterwarnings("ignore")
def test_pruning_what_is_never_chosen_changes_nothing(tmp_path: Path) -> None:
    """One token has two experts a layer: a model of only those says the same of it."""
    model = mixtral(tmp_path / "whole", twins=False)
    mass = torch.zeros(LAYERS, EXPERTS)
    with torch.inference_mode():
        routed = model(TOKENS[:, :1], output_router_logits=True).router_logits
    for layer, each in enumerate(routed):
        mass[layer, torch.topk(each[0], 2).indices] = 0.5
    (tmp_path / "pruned").mkdir()
    shrink(tmp_path / "whole", tmp_path / "pruned", plan(mass, gates(model), keep=2))

    wanted, found = logits(tmp_path / "whole"), logits(tmp_path / "pruned")
    torch.testing.assert_close(found[:, 0], wanted[:, 0])
    assert not torch.allclose(found[:, 1:], wanted[:, 1:])  # others do miss what is gone


def test_a_layer_keeps_an_expert_and_no_more_than_it_has() -> None:
    """The number is checked before anything is written."""
    for keep in (0, 5):
        with pytest.raises(SetupError, match="keep 1 to 4"):
            plan(torch.ones(1, 4), torch.ones(1, 4, 8), keep)
