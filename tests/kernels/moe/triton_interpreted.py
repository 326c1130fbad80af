"""Run the Triton kernels in the interpreter, which must be chosen before Triton is imported.

It prints JSON: errors relative to the reference, and whether a row alone has the same bits. The
interpreter multiplies with NumPy, whose BLAS may sum a row by its place among the others: OpenBLAS
does on Haswell and Zen. A GPU's tiles don't, so here each product is summed in the order of K.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor
from triton.runtime.interpreter import InterpreterBuilder, TensorHandle

from collegium.kernels.moe.activations import Activation
from collegium.kernels.moe.packed import pack
from collegium.kernels.moe.reference import forward
from collegium.kernels.moe.triton_experts import fused_experts
from collegium.kernels.moe.triton_tiles import CANDIDATES, Tile

EXPERTS, HIDDEN, INTER, K, TOKENS = 5, 48, 40, 2, 19
ALONE = [0, 2, 5, 18]
SHALLOW = Tile(16, 32, 16)  # sums K in other steps than any tile that layers get


def ordered_dot(builder: Any, a: Any, b: Any, d: Any, *precision: Any) -> Any:
    """In the place of `InterpreterBuilder.create_dot`: no element depends on another row."""
    product = np.zeros_like(d.data)
    for depth in range(a.data.shape[1]):
        product += a.data[:, depth, None] * b.data[None, depth]
    return TensorHandle(product + d.data, d.dtype.scalar)


@dataclass(frozen=True)
class Given:
    """A layer in floats, and what it is asked."""

    x: Tensor
    up: Tensor
    down: Tensor
    ids: Tensor
    weights: Tensor

    def of(self, dtype: torch.dtype) -> Given:
        """The same numbers in another type."""
        x, up, down = (tensor.to(dtype) for tensor in (self.x, self.up, self.down))
        return Given(x, up, down, self.ids, self.weights)

    def computed(self, rows: slice = slice(None), tile: Tile | None = None) -> Tensor:
        """What the kernels say of some rows."""
        ids, weights = self.ids[rows], self.weights[rows]
        return fused_experts(
            self.x[rows], self.up, self.down, ids, weights, tile=tile, interpreted=True
        )

    def alone(self, tile: Tile | None = None) -> Tensor:
        """Some rows, each computed by itself."""
        return torch.cat([self.computed(slice(row, row + 1), tile) for row in ALONE])

    def wanted(self, name: str) -> Tensor:
        """What the reference says."""
        packed = pack(self.up, self.down, format=name)
        return forward(self.x, packed, self.ids, self.weights, Activation.SILU)


def given(seed: int = 0) -> Given:
    """Random numbers with tails and skipped slots."""
    generator = torch.Generator().manual_seed(seed)
    w13 = torch.randn(EXPERTS, 2 * INTER, HIDDEN, generator=generator) / 6
    w2 = torch.randn(EXPERTS, HIDDEN, INTER, generator=generator) / 6
    x = torch.randn(TOKENS, HIDDEN, generator=generator)
    ids = torch.stack([torch.randperm(EXPERTS, generator=generator)[:K] for _ in range(TOKENS)])
    weights = torch.rand(TOKENS, K, generator=generator)
    ids[2, 1], ids[5] = -1, -1
    ids[7:] = torch.tensor([3, 0])  # more slots of one expert than a tile holds
    return Given(x, w13, w2, ids.int(), weights)


def compared(layer: Given, name: str) -> dict[str, object]:
    """With the reference, and rows alone with rows in company."""
    out, wanted = layer.computed(), layer.wanted(name)
    return {
        name: off(out, wanted),
        f"{name} alone": torch.equal(layer.alone(), out[ALONE]),
        f"{name} skipped": float(out[5].abs().max()),
    }


def off(out: Tensor, wanted: Tensor) -> float:
    """The largest error, relative to the largest number."""
    return float((out.float() - wanted).abs().max() / wanted.abs().max())


def main() -> None:
    """Compare with the reference in both types, tails and skipped slots included."""
    floats = given()
    halves = floats.of(torch.bfloat16)
    with patch.object(InterpreterBuilder, "create_dot", ordered_dot):
        found = compared(floats, "fp32") | compared(halves, "bf16")
        found["fp32 alone in another tile"] = torch.equal(
            floats.alone(SHALLOW), floats.computed()[ALONE]
        )
        wanted = halves.wanted("bf16")
        worst = max(off(halves.computed(tile=tile), wanted) for tile in CANDIDATES)
    uncast = fused_experts(halves.x, halves.up, halves.down, halves.ids, halves.weights)
    found |= {"tiles": len(CANDIDATES), "worst tile": worst, "bf16 uncast": off(uncast, wanted)}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
