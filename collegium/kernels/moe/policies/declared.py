"""Build a policy from declared rules and the model's own gating."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from collegium.errors import KernelMisuse
from collegium.kernels.moe.policies.base import Policy, Routed
from collegium.kernels.moe.policies.capacity import Capacity
from collegium.kernels.moe.policies.null_experts import NullExperts
from collegium.kernels.moe.policies.subset import Subset
from collegium.kernels.moe.policies.top_k import TopK
from collegium.kernels.moe.routing import Gating
from collegium.kernels.token_policy import Rules


@dataclass(frozen=True)
class ConstantNulls:
    """The gate gets `count` more columns with a constant logit, for `NullExperts` inside."""

    inner: NullExperts
    count: int
    logit: float

    @property
    def row_local(self) -> bool:
        return self.inner.row_local

    def route(self, logits: Tensor) -> Routed:
        """Choose among the experts and the columns."""
        logits = logits.float()
        columns = logits.new_full((len(logits), self.count), self.logit)
        return self.inner.route(torch.cat((logits, columns), -1))


def policy_of(
    rules: Rules,
    gating: Gating,
    experts: int,
    bias: Tensor | None = None,
    device: torch.device | None = None,
) -> Policy:
    """The policy of a layer with this many experts, for logits on a device.

    Raises KernelMisuse if the rules don't fit.
    """
    _check(rules, gating, experts)
    null = rules.null_experts
    columns = 0 if null is None else null.count
    top_k = TopK(
        replace(gating, top_p=rules.top_p),
        _wider(bias, columns),
        _wider(_vector(rules.steering, experts, device), columns),
    )
    policy: Policy = top_k
    if rules.kept is not None:
        kept = (*rules.kept, *range(experts, experts + columns))
        policy = Subset(top_k, kept, rules.substitutes)
    if null is not None:
        renormalise = gating.renormalise and null.kind == "zero"
        inner = NullExperts(policy, experts, null.kind, renormalise)
        policy = ConstantNulls(inner, null.count, null.logit)
    if rules.capacity is not None:
        policy = Capacity(policy, rules.capacity.factor, rules.capacity.reroute)
    return policy


def _vector(
    values: Mapping[int, float], experts: int, device: torch.device | None
) -> Tensor | None:
    if not values:
        return None
    vector = torch.zeros(experts, dtype=torch.float32, device=device)
    for expert, value in values.items():
        vector[expert] = value
    return vector


def _wider(vector: Tensor | None, columns: int) -> Tensor | None:
    if vector is None or not columns:
        return vector
    return torch.cat((vector.float(), vector.new_zeros(columns, dtype=torch.float32)))


def _check(rules: Rules, gating: Gating, experts: int) -> None:
    named = {*rules.steering, *(rules.kept or ()), *rules.substitutes, *rules.substitutes.values()}
    strangers = sorted(number for number in named if number >= experts)
    if strangers:
        raise KernelMisuse(f"the policy names experts {strangers}; the layer has {experts}")
    if rules.substitutes and rules.kept is None:
        raise KernelMisuse("substitutes stand in for absent experts: say which are `kept`")
    if rules.kept is not None and len({*rules.kept, *rules.substitutes}) < gating.k:
        raise KernelMisuse(f"fewer experts are left than the {gating.k} that each token goes to")
    if rules.null_experts is not None and gating.groups:
        raise KernelMisuse("null experts don't go with grouped top-k")
