"""Prune a sparse model: keep the experts that a domain uses, drop or merge the others."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from collegium.errors import SetupError
from collegium.evals.tasks import TASKS
from collegium.experts.sparse.composing import KEPT_FILES, MIXTRAL_NAMES

if TYPE_CHECKING:
    from torch import Tensor

    from collegium.evals.training.sparse.judging import Judge, Quality


@dataclass(frozen=True)
class Plan:
    """Each layer's kept experts, and which kept expert (its place) stands for every one."""

    kept: tuple[tuple[int, ...], ...]
    stands_for: tuple[tuple[int, ...], ...]


def plan(mass: Tensor, gates: Tensor, keep: int) -> Plan:
    """Keep the experts with the most mass (layers, experts) of each layer.

    The others are put to the kept expert whose gate (layers, experts, hidden) is the most alike.
    """
    from torch.nn.functional import normalize

    if not 1 <= keep <= mass.shape[1]:
        raise SetupError(f"keep 1 to {mass.shape[1]} experts a layer, not {keep}")
    kept, stands_for = [], []
    for layer in range(len(mass)):
        best = sorted(mass[layer].topk(keep).indices.tolist())
        directions = normalize(gates[layer].float(), dim=-1)
        nearest = (directions @ directions[best].T).argmax(dim=-1).tolist()
        for place, expert in enumerate(best):
            nearest[expert] = place
        kept.append(tuple(best))
        stands_for.append(tuple(nearest))
    return Plan(tuple(kept), tuple(stands_for))


def shrink(source: Path, folder: Path, plan: Plan, mass: Tensor | None = None) -> None:
    """Write the smaller model; with `mass`, kept experts are means over those they stand for.

    The mean is weighted by use (M-SMoE, arXiv 2310.01334). The experts of our mixture come from one
    base, so their neurons correspond and need no alignment.
    """
    from safetensors.torch import load_file, save_file

    tensors = load_file(source / "model.safetensors")
    for layer, kept in enumerate(plan.kept):
        moe = f"model.layers.{layer}.block_sparse_moe"
        tensors[f"{moe}.gate.weight"] = tensors[f"{moe}.gate.weight"][list(kept)].contiguous()
        experts = range(len(plan.stands_for[layer]))
        for name in MIXTRAL_NAMES.values():
            keys = [f"{moe}.experts.{e}.{name}.weight" for e in experts]
            weights = [tensors.pop(key) for key in keys]
            for place, expert in enumerate(kept):
                tensors[keys[place]] = weights[expert]
                if mass is not None:
                    group = [e for e in experts if plan.stands_for[layer][e] == place]
                    tensors[keys[place]] = _mean([weights[e] for e in group], mass[layer, group])
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    _describe(source, folder, experts=len(plan.kept[0]))


def _mean(weights: list[Tensor], shares: Tensor) -> Tensor:
    """Weighted by use; equally where none was used."""
    import torch

    shares = (
        torch.full_like(shares, 1 / len(shares)) if shares.sum() == 0 else shares / shares.sum()
    )
    stacked = torch.stack([weight.float() for weight in weights])
    return torch.einsum("e,eoi->oi", shares, stacked).to(weights[0].dtype)


def _describe(source: Path, folder: Path, *, experts: int) -> None:
    config = json.loads((source / "config.json").read_text())
    config["num_local_experts"] = experts
    config["num_experts_per_tok"] = min(experts, config["num_experts_per_tok"])
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    for name in KEPT_FILES:
        shutil.copy(source / name, folder)


def prune_to(
    task: str,
    source: Path,
    out: Path,
    judge: Judge,
    keep: int,
    demonstrations: int,
    *,
    merge: bool = False,
) -> dict[str, Quality]:
    """Write the mixture pruned to one task into `out`; return its quality before and after."""
    import torch

    from collegium.evals.training.sparse.judging import load
    from collegium.evals.training.sparse.usage import expert_mass

    model, tokenizer = load(source)
    mass = expert_mass(model, tokenizer, TASKS[task].examples("train", demonstrations))
    gates = torch.stack([layer.mlp.gate.weight.detach() for layer in model.model.layers])
    out.mkdir(parents=True, exist_ok=True)
    shrink(source, out, plan(mass, gates, keep), mass if merge else None)
    return {
        "before": judge.quality(model, tokenizer, source),
        "after": judge.quality(*load(out), out),
    }
