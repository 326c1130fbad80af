"""The mixture while its gates are trained: base and adapters side by side, nothing merged.

It computes what the composed model computes. The experts share the base's matrix products, so six
of them cost little more than one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from collegium.experts.sparse import EXPERTS_PER_TOKEN
from collegium.experts.sparse.lora import ATTENTION, Adapter, mean_change


class MixedFeedForward(nn.Module):
    """A layer's feed-forward part: the base's and each adapter's, weighted by a gate."""

    def __init__(self, base: Any, adapters: list[Adapter], layer: int) -> None:
        super().__init__()
        self.base = base
        hidden = base.gate_proj.weight.shape[1]
        self.gate: Any = nn.Linear(hidden, len(adapters) + 1, bias=False)
        nn.init.zeros_(self.gate.weight)
        self.logits = torch.empty(0)
        for name in ("gate_proj", "up_proj", "down_proj"):
            changes = [adapter.change(layer, name) for adapter in adapters]
            self.register_buffer(f"{name}_down", torch.stack([c.down for c in changes]))
            self.register_buffer(f"{name}_up", torch.stack([c.up for c in changes]))

    def forward(self, x: Tensor) -> Tensor:
        """x (1, tokens, hidden) to the same shape; the gate's logits stay in `logits`."""
        tokens = x[0]
        self.logits = self.gate(tokens)
        weights = top_weights(self.logits.float()).to(x.dtype)
        act = F.silu(self._spread(tokens, "gate_proj")) * self._spread(tokens, "up_proj")
        act = act * weights.t()[:, :, None]
        # The down projection is linear: the base's part of all experts is one product.
        changes = act[1:] @ self._part("down_proj_down", act) @ self._part("down_proj_up", act)
        whole: Tensor = self.base.down_proj(act.sum(dim=0)) + changes.sum(dim=0)
        return whole[None]

    def _spread(self, tokens: Tensor, name: str) -> Tensor:
        """A projection by every expert, (experts, tokens, inner)."""
        base: Tensor = getattr(self.base, name)(tokens)[None]
        down, up = self._part(f"{name}_down", base), self._part(f"{name}_up", base)
        return torch.cat([base, base + tokens.to(base.dtype) @ down @ up])

    def _part(self, name: str, like: Tensor) -> Tensor:
        """A stacked matrix of the adapters, transposed, in another tensor's type."""
        matrices: Tensor = getattr(self, name)
        return matrices.transpose(1, 2).to(like.dtype)


class ChangedLinear(nn.Module):
    """A projection with a frozen change and a low-rank one that is trained."""

    def __init__(self, base: nn.Linear, change: Tensor, rank: int) -> None:
        super().__init__()
        base.weight.data += change
        self.base = base
        self.down = nn.Parameter(torch.randn(rank, base.in_features) / base.in_features**0.5)
        self.up = nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        """x (…, in) to (…, out)."""
        changed: Tensor = self.base(x) + F.linear(F.linear(x, self.down), self.up)
        return changed


def top_weights(logits: Tensor) -> Tensor:
    """Softmax over the best experts of each token, zero for the others: Mixtral's rule."""
    best = torch.topk(logits, EXPERTS_PER_TOKEN, dim=-1)
    weights = torch.softmax(best.values, dim=-1)
    return torch.zeros_like(logits).scatter(-1, best.indices, weights)


def mix(model: Any, adapters: list[Adapter], rank: int) -> list[MixedFeedForward]:
    """Turn a Llama model into the mixture, in place; return its feed-forward parts."""
    model.requires_grad_(False)
    mixed = []
    for number, layer in enumerate(model.model.layers):
        for name in ATTENTION:
            base = getattr(layer.self_attn, name)
            change = mean_change(adapters, number, name)
            setattr(layer.self_attn, name, ChangedLinear(base, change, rank))
        layer.mlp = MixedFeedForward(layer.mlp, adapters, number)
        mixed.append(layer.mlp)
    return mixed


def trained(model: Any) -> Iterator[tuple[str, Tensor]]:
    """Each trained weight by the name it is saved under."""
    for number, layer in enumerate(model.model.layers):
        yield f"layers.{number}.gate", layer.mlp.gate.weight
        for name in ATTENTION:
            part = getattr(layer.self_attn, name)
            yield f"layers.{number}.{name}.down", part.down
            yield f"layers.{number}.{name}.up", part.up
