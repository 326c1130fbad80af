"""The mixture during training of its gates: base and adapters side by side, unmerged.

It computes what the composed model computes. The experts share the base's matrix products, so two
of six cost little more than one.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from collegium.experts.sparse import EXPERTS_PER_TOKEN
from collegium.experts.sparse.lora import ATTENTION, Adapter, mean_change


class MixedFeedForward(nn.Module):
    """A layer's feed-forward part: the base's and each adapter's, weighted by a gate.

    Only what a token's chosen experts compute is computed. The adapters' low-rank products of all
    experts lie side by side in one dense product, where those that are not chosen are zeros.
    """

    down_proj_down: Tensor
    down_proj_up: Tensor

    def __init__(self, base: Any, adapters: list[Adapter], layer: int) -> None:
        super().__init__()
        self.base = base
        weight = base.gate_proj.weight
        self.gate: Any = nn.Linear(weight.shape[1], len(adapters) + 1, bias=False)
        nn.init.zeros_(self.gate.weight)
        self.logits = torch.empty(0)
        for name in ("gate_proj", "up_proj", "down_proj"):
            changes = [adapter.change(layer, name) for adapter in adapters]
            down = torch.cat([change.down for change in changes])
            up = torch.cat([change.up for change in changes], dim=1)
            self.register_buffer(f"{name}_down", down.to(weight.dtype))
            self.register_buffer(f"{name}_up", up.to(weight.dtype))
        self.rank = len(down) // len(adapters)

    def forward(self, x: Tensor) -> Tensor:
        """x (1, tokens, hidden) to the same shape; the gate's logits stay in `logits`."""
        tokens = x[0]
        self.logits = self.gate(tokens.float())
        weights, experts = top_weights(self.logits)
        kept = self._kept(experts, x.dtype)
        act = F.silu(self._spread(tokens, "gate_proj", kept)) * self._spread(
            tokens, "up_proj", kept
        )
        act = act * weights.t()[:, :, None].to(x.dtype)
        # The down projection is linear: the base's part of the chosen experts is one product.
        changes = reduce(torch.add, F.linear(act, self.down_proj_down) * kept)
        whole: Tensor = self.base.down_proj(reduce(torch.add, act))
        whole = whole + F.linear(changes, self.down_proj_up)
        return whole[None]

    def _kept(self, experts: Tensor, dtype: torch.dtype) -> Tensor:
        """Which of the adapters' ranks are a choice's own: (choices, tokens, all ranks), 0 or 1."""
        chosen = F.one_hot(experts.t(), self.gate.out_features)[..., 1:]  # the base has no adapter
        return chosen.to(dtype).repeat_interleave(self.rank, dim=-1)

    def _spread(self, tokens: Tensor, name: str, kept: Tensor) -> Tensor:
        """A projection by each chosen expert, (choices, tokens, inner)."""
        low = F.linear(tokens, getattr(self, f"{name}_down")) * kept
        base: Tensor = getattr(self.base, name)(tokens)
        return base + F.linear(low, getattr(self, f"{name}_up"))


class ChangedLinear(nn.Module):
    """A projection with a frozen change and a low-rank one that is trained, in float32."""

    def __init__(self, base: nn.Linear, change: Tensor, rank: int) -> None:
        super().__init__()
        base.weight.data = (base.weight.data.float() + change).to(base.weight.dtype)
        self.base = base
        self.down = nn.Parameter(torch.randn(rank, base.in_features) / base.in_features**0.5)
        self.up = nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        """x (…, in) to (…, out)."""
        low = F.linear(x, self.down.to(x.dtype))
        changed: Tensor = self.base(x) + F.linear(low, self.up.to(x.dtype))
        return changed


def top_weights(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Each token's best experts, with a softmax over them: Mixtral's rule.

    logits (tokens, experts) to weights and expert numbers, both (tokens, EXPERTS_PER_TOKEN).
    """
    best = torch.topk(logits, EXPERTS_PER_TOKEN, dim=-1)
    return torch.softmax(best.values, dim=-1), best.indices


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
