"""Sparse models whose routers never nearly tie, so that no rounding swaps a token's experts.

In a random model some tokens' second and third experts nearly tie. bfloat16 then chooses another
one than float32, and which tokens that hits depends on the processor. Here a token's embedding
holds its router's logits, in the first dimensions of the residual stream, one an expert. Attention
leaves these alone and experts hardly change them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

SHARE, GAIN = 0.05, 8.0
QUIET = -7  # a power of two; experts' codes need a scale, so not zero


def keep_apart(model: Any, *, experts: int) -> None:
    """Change a random Mixtral or gpt-oss in place (but gpt-oss's down projections, to be codes)."""
    embeddings = model.model.embed_tokens.weight.data
    embeddings[:, :experts] = SHARE * scores(len(embeddings), experts)
    for layer in model.model.layers:
        router = getattr(layer.mlp, "router", None) or layer.mlp.gate
        router.weight.data.zero_()[:, :experts] = GAIN * torch.eye(experts)
        for parameter in layer.self_attn.o_proj.parameters():
            parameter.data[:experts] = 0
        outputs = getattr(layer.mlp.experts, "down_proj_bias", layer.mlp.experts.down_proj)
        outputs.data[:, :experts] *= 2.0**QUIET


def scores(tokens: int, experts: int) -> Tensor:
    """Each token's logits: ranks in random order, a gap of 2 amid them, and noise below the gap."""
    ranks = torch.rand(tokens, experts).argsort(-1)
    return ranks + (ranks >= experts // 2) + 0.4 * torch.rand(tokens, experts) - experts / 2
