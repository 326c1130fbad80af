"""The routing policy interface, and a check of who may use policies that aren't row-local."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from collegium.errors import PolicyRefused


@dataclass(frozen=True)
class Routed:
    """Where tokens go: the arguments of `fused_experts`.

    ids int32 and weights float32, both (tokens, k), -1 for a slot that is skipped; `residual`
    float32 (tokens,) is how much of the input itself is added, or none.
    """

    ids: Tensor
    weights: Tensor
    residual: Tensor | None = None


class Policy(Protocol):
    """A rule from gate logits (tokens, experts) to experts.

    A `row_local` rule decides each token by its own logits alone. Any other lets one request's
    tokens change another's answer (Hayes, Shumailov and Yona, arXiv 2402.05526).
    """

    @property
    def row_local(self) -> bool: ...

    def route(self, logits: Tensor) -> Routed:
        """Choose the experts of each token."""


def require_row_local(policy: Policy, *, single_tenant: bool) -> None:
    """Raise PolicyRefused if rows of several tenants could change each other's answers."""
    if not policy.row_local and not single_tenant:
        raise PolicyRefused(
            f"the routing policy {type(policy).__name__} lets one request change another's answer: "
            "declare the engine single-tenant, or choose a row-local policy"
        )
