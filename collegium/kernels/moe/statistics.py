"""Statistics of the token router by layer: aggregates only, never a single request's."""

from __future__ import annotations

import threading
from typing import Any

import torch
from torch import Tensor


class LayerStatistics:
    """One layer's sums: `counts` and `mass` (experts,), `together` (experts, experts).

    On a GPU they are added up there, without waiting for it, so that a CUDA graph can record it;
    every batch copies them to host memory, which is what is read here.
    """

    def __init__(self, experts: int, device: torch.device | str = "cpu") -> None:
        self.experts = experts
        self._lock = threading.Lock()  # on a processor a report is of whole batches
        # Tokens and skipped slots; by expert and for skipped slots, counts and mass; pairs.
        size = 2 + 2 * (experts + 1) + experts**2
        self._sums = torch.zeros(size, dtype=torch.int64, device=device)
        self._seen = self._sums
        if self._sums.is_cuda:
            self._seen = torch.zeros(size, dtype=torch.int64, device="cpu", pin_memory=True)

    @property
    def tokens(self) -> int:
        """Tokens so far."""
        return int(self._seen[0])

    @property
    def counts(self) -> Tensor:
        """Slots by expert."""
        return self._parts(self._seen)[1][:-1]

    @property
    def mass(self) -> Tensor:
        """Weight by expert."""
        return self._parts(self._seen)[2][:-1]

    @property
    def together(self) -> Tensor:
        """Tokens by pair of experts."""
        return self._parts(self._seen)[3]

    def observe(self, ids: Tensor, weights: Tensor, real: Tensor | None = None) -> None:
        """Add one batch: ids and weights (tokens, k), id -1 for a skipped slot.

        `real` (tokens,) tells tokens from the padding of a CUDA graph.
        """
        real = torch.ones_like(ids[:, 0], dtype=torch.bool) if real is None else real
        there = (ids >= 0) & real[:, None]
        slots = torch.where(there, ids, self.experts).long()
        member = ids.new_zeros(len(ids), self.experts + 1, dtype=torch.float32)
        member = member.scatter_(1, slots, 1.0)[:, :-1]
        pairs = (member.T @ member).round().long()
        skipped = (real[:, None] & (ids < 0)).sum()
        flat = slots.flatten()
        with self._lock:
            totals, counts, mass, together = self._parts(self._sums)
            totals += torch.stack((real.sum(), skipped))
            counts.scatter_add_(0, flat, torch.ones_like(flat))
            mass.scatter_add_(0, flat, weights.flatten().double())
            together += pairs
            if self._seen is not self._sums:
                self._seen.copy_(self._sums, non_blocking=True)

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
                "skipped_slots": int(self._seen[1]),
                "counts": self.counts.tolist(),
                "mass": [round(mass, 4) for mass in self.mass.tolist()],
                "entropy_bits": round(self.entropy_bits(), 4),
                "co_activation": self.together.tolist(),
            }

    def _parts(self, sums: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        wide = self.experts + 1
        totals, counts, mass, pairs = torch.split(sums, [2, wide, wide, self.experts**2])
        square = pairs.view(self.experts, self.experts)
        return totals, counts, mass.view(torch.float64), square
