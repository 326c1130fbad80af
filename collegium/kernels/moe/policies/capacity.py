"""A limit on tokens per expert and batch, for engines with a single tenant."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor

from collegium.kernels.moe.policies.base import Policy, Routed


@dataclass(frozen=True)
class Capacity:
    """No expert gets more than `factor` times its even share of the batch's slots.

    First come, first served, in the order of rows, better slots first (GShard, arXiv 2006.16668).
    A slot too many is dropped, or with `reroute` goes to the best expert that has room and that
    the token does not have yet. What one row gets depends on the others: not row-local.
    """

    inner: Policy
    factor: float = 1.25
    reroute: bool = False
    row_local = False

    def route(self, logits: Tensor) -> Routed:
        """Choose, then move or drop what is over the limit."""
        routed = self.inner.route(logits)
        tokens, k = routed.ids.shape
        experts = logits.shape[-1]
        limit = ceil(self.factor * tokens * k / experts)
        ids = routed.ids.clone()
        load = [0] * experts
        for slot in range(k):
            for row in range(tokens):
                wanted = int(ids[row, slot])
                if wanted >= 0 and load[wanted] >= limit:
                    wanted = self._elsewhere(logits[row], ids[row], load, limit)
                    ids[row, slot] = wanted
                if wanted >= 0:
                    load[wanted] += 1
        return Routed(ids, torch.where(ids < 0, 0.0, routed.weights), routed.residual)

    def _elsewhere(self, logits: Tensor, mine: Tensor, load: list[int], limit: int) -> int:
        if not self.reroute:
            return -1
        order = torch.argsort(logits, descending=True, stable=True).tolist()
        taken = set(mine.tolist())
        return next((e for e in order if e not in taken and load[e] < limit), -1)
