"""LoRA on the CPU for vLLM: one pair of small matrix products per adapter instead of per token.

vLLM 0.32's own CPU path gathers an adapter's weights for every token (`weights[indices]`, then a
batch of matrix-vector products) and converts them to float32. Here the tokens of a step are
grouped by adapter once, and each group is multiplied as a whole, as Punica's SGMV does on a GPU
(Chen et al., arXiv 2310.18547). Tokens without an adapter cost nothing; the stock path gives them
the last adapter's weights, which are zero only while a slot is free.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU

Rows = slice | Tensor
Group = tuple[int, Rows]


class GroupedLora(PunicaWrapperCPU):
    """vLLM's holder of which token uses which adapter, with grouped products."""

    _groups: Sequence[Group] = ()

    def update_metadata(self, *args: Any, **kwargs: Any) -> None:
        """Take note of a step's adapters; called once a step, before all layers."""
        super().update_metadata(*args, **kwargs)
        self._groups = grouped(self.token_lora_indices)

    def add_lora_linear(
        self,
        y: Tensor,
        x: Tensor,
        lora_a_stacked: tuple[Tensor, ...],
        lora_b_stacked: tuple[Tensor, ...],
        scale: float,
        output_slices: tuple[int, ...],
        **_unused: Any,
    ) -> None:
        """Add each adapter's product to its tokens' outputs, in place.

        x (tokens, in), y (tokens, out); A and B of each of the layer's slices are stacked over
        adapters: (adapters, 1, rank, in) and (adapters, 1, slice, rank).
        """
        x, y = x.view(-1, x.shape[-1]), y.view(-1, y.shape[-1])
        for adapter, rows in self._groups:
            inputs, offset = x[rows], 0
            for a, b, width in zip(lora_a_stacked, lora_b_stacked, output_slices, strict=True):
                change = inputs @ a[adapter, 0].T @ b[adapter, 0].T
                columns = slice(offset, offset + width)
                y[rows, columns] += change if scale == 1 else scale * change
                offset += width


def grouped(adapters: Tensor) -> list[Group]:
    """Return the rows of each adapter from (tokens,) adapter numbers; -1 means none.

    A group that lies in one piece is a slice, which costs no copy.
    """
    groups: list[Group] = []
    for adapter in torch.unique(adapters).tolist():
        if adapter < 0:
            continue
        rows = torch.nonzero(adapters == adapter)[:, 0]
        first, last = int(rows[0]), int(rows[-1])
        whole = last - first + 1 == len(rows)
        groups.append((adapter, slice(first, last + 1) if whole else rows))
    return groups
