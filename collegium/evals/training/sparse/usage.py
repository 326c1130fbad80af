"""How much a domain's demonstrations use each expert of a sparse model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from collegium.evals.tasks.base import Example
from collegium.evals.training.packing import tokenise

if TYPE_CHECKING:
    from torch import Tensor


def expert_mass(model: Any, tokenizer: Any, demonstrations: Sequence[Example]) -> Tensor:
    """The gate's weight that each expert got on questions and answers, (layers, experts).

    Rows sum to one. After PreMoe (arXiv 2505.17639) and EASY-EP (arXiv 2504.06792), which choose
    experts from few demonstrations by their gate's weight; the output's norm is left out here.
    """
    import torch

    config = model.config
    mass = torch.zeros(config.num_hidden_layers, config.num_local_experts)
    for example in tqdm(demonstrations, desc="demonstrations", unit="question"):
        tokens = tokenise(tokenizer, example)
        ids = torch.tensor([tokens.prompt + tokens.answer])
        with torch.inference_mode():
            logits = model(ids, output_router_logits=True).router_logits
        for layer, each in enumerate(logits):
            best = torch.topk(each.float(), config.num_experts_per_tok, dim=-1)
            weights = torch.softmax(best.values, dim=-1)
            mass[layer].index_add_(0, best.indices.flatten(), weights.flatten())
    return mass / mass.sum(dim=1, keepdim=True)
