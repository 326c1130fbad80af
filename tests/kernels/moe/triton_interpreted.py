"""Run the Triton kernels in the interpreter, which must be chosen before Triton is imported.

It prints JSON: errors relative to the reference, and whether a row alone has the same bits.
"""

from __future__ import annotations

import json
import sys

import torch

from collegium.kernels.moe.activations import Activation
from collegium.kernels.moe.packed import pack
from collegium.kernels.moe.reference import forward
from collegium.kernels.moe.triton_experts import fused_experts
from collegium.kernels.moe.triton_tiles import CANDIDATES

EXPERTS, HIDDEN, INTER, K, TOKENS = 5, 48, 40, 2, 19


def main() -> None:
    """Compare with the reference in both types, tails and skipped slots included."""
    generator = torch.Generator().manual_seed(0)
    w13 = torch.randn(EXPERTS, 2 * INTER, HIDDEN, generator=generator) / 6
    w2 = torch.randn(EXPERTS, HIDDEN, INTER, generator=generator) / 6
    x = torch.randn(TOKENS, HIDDEN, generator=generator)
    ids = torch.stack([torch.randperm(EXPERTS, generator=generator)[:K] for _ in range(TOKENS)])
    ids, weights = ids.int(), torch.rand(TOKENS, K, generator=generator)
    ids[2, 1], ids[5] = -1, -1
    ids[7:] = torch.tensor([3, 0])  # more slots of one expert than a tile holds
    found: dict[str, object] = {}
    worst = 0.0
    for name, dtype in {"fp32": torch.float32, "bf16": torch.bfloat16}.items():
        given = [tensor.to(dtype) for tensor in (x, w13, w2)]
        some, up, down = given
        out = fused_experts(some, up, down, ids, weights, interpreted=True)
        packed = pack(up, down, format=name)
        wanted = forward(some, packed, ids, weights, Activation.SILU)
        found[name] = float((out.float() - wanted).abs().max() / wanted.abs().max())
        rows = [slice(i, i + 1) for i in (0, 2, 5, 18)]
        alone = [
            fused_experts(some[row], up, down, ids[row], weights[row], interpreted=True)
            for row in rows
        ]
        found[f"{name} alone"] = bool(torch.equal(torch.cat(alone), out[[0, 2, 5, 18]]))
        found[f"{name} skipped"] = float(out[5].abs().max())
    largest = wanted.abs().max()
    for tile in CANDIDATES:
        out = fused_experts(some, up, down, ids, weights, tile=tile, interpreted=True)
        worst = max(worst, float((out.float() - wanted).abs().max() / largest))
    found["tiles"], found["worst tile"] = len(CANDIDATES), worst
    uncast = fused_experts(x.bfloat16(), w13.bfloat16(), w2.bfloat16(), ids, weights)
    found["bf16 uncast"] = float((uncast.float() - wanted).abs().max())
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
