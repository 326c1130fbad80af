"""Statistics of the token router by layer: aggregates only, never a single request's."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass
class LayerStatistics:
    """One layer's sums: `counts` and `mass` (experts,), `together` (experts, experts)."""

    experts: int

    def __post_init__(self) -> None:
        self._lock = threading.Lock()  # a report is of whole batches
        self.tokens = 0
        self.skipped = 0
        self.counts = torch.zeros(self.experts, dtype=torch.int64)
        self.mass = torch.zeros(self.experts, dtype=torch.float64)
        self.together = torch.zeros(self.experts, self.experts, dtype=torch.int64)

    def observe(self, ids: Tensor, weights: Tensor) -> None:
        """Add one batch: ids and weights (tokens, k), id -1 for a skipped slot."""
        there = ids >= 0
        chosen = ids[there].long()
        member = torch.zeros(len(ids), self.experts + 1, dtype=torch.float32)
        member.scatter_(1, torch.where(there, ids, self.experts).long(), 1.0)
        member = member[:, : self.experts]
        with self._lock:
            self.tokens += len(ids)
            self.skipped += int((~there).sum())
            self.counts += torch.bincount(chosen, minlength=self.experts)
            self.mass.index_add_(0, chosen, weights[there].double())
            self.together += (member.T @ member).round().long()

    def entropy_bits(self) -> float:
        """Entropy of the experts' shares of slots: log2(experts) for uniform use."""
        shares = self.counts.double() / self.counts.sum().clamp_min(1)
        used = shares[shares > 0]
        return float(-(used * used.log2()).sum()) + 0.0

    def report(self) -> dict[str, Any]:
        """The sums as plain numbers; `co_activation[i][j]` counts tokens that had both."""
        with self._lock:
            return {
                "tokens": self.tokens,
                "skipped_slots": self.skipped,
                "counts": self.counts.tolist(),
                "mass": [round(mass, 4) for mass in self.mass.tolist()],
                "entropy_bits": round(self.entropy_bits(), 4),
                "co_activation": self.together.tolist(),
            }
