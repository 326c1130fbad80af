"""A check that the Triton kernels agree with plain torch, on the GPU and for the layer at hand."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import silu
from triton.errors import TritonError

from collegium.kernels.moe.triton_experts import device_name, fused_experts
from collegium.kernels.moe.triton_tiles import TABLES, Layer, Tile

TOLERANCE = {torch.float32: 1e-4, torch.float16: 4e-3, torch.bfloat16: 2e-2}
"""Of the largest value; the types that the kernels have."""
EXPERTS, K, SKIPPED = 5, 3, 4
"""Of the layer that is computed; the expert `SKIPPED` gets no token."""
WHOLE = 512
"""Sizes up to here are taken as they are, others keep their remainder: tails and alignment."""


@cache
def problem(layer: Layer, device: torch.device, *, interpreted: bool = False) -> str | None:
    """Return what is wrong with a layer's kernels on a device; None if nothing is.

    With the tile that the layer gets: a single token, more tokens of an expert than a tile holds,
    skipped slots, and whether a token has the same bits alone and in company.
    """
    if layer.dtype not in TOLERANCE:
        return f"the kernels have no {layer.dtype}"
    try:
        tile = TABLES.tile(layer, device_name(torch.empty(0, device=device)))
        return _compared(layer, device, tile, interpreted=interpreted)
    except (TritonError, RuntimeError) as exc:  # does not compile, does not fit, no driver
        return f"they don't run here: {type(exc).__name__}: {exc}"


def _compared(layer: Layer, device: torch.device, tile: Tile, *, interpreted: bool) -> str | None:
    generator = torch.Generator().manual_seed(0)
    hidden, inter, tokens = shortened(layer.hidden), shortened(layer.inter), tile.m + 3

    def drawn(*shape: int, scale: float = 1.0) -> Tensor:
        numbers = torch.randn(*shape, generator=generator, device="cpu") * scale
        return numbers.to(device, layer.dtype)

    w13 = drawn(EXPERTS, 2 * inter, hidden, scale=hidden**-0.5)
    w2 = drawn(EXPERTS, hidden, inter, scale=inter**-0.5)
    x = drawn(tokens, hidden)
    ids = torch.rand(tokens, SKIPPED, generator=generator, device="cpu").topk(K).indices.int()
    ids[:, 0], ids[1, 1:], ids[2] = 0, -1, -1
    ids = ids.to(device)
    weights = drawn(tokens, K).float().sigmoid()
    found = fused_experts(x, w13, w2, ids, weights, tile=tile, interpreted=interpreted)
    wanted = plain(x, w13, w2, ids, weights)
    error = float((found.double() - wanted).abs().max() / wanted.abs().max())
    if not error <= TOLERANCE[layer.dtype]:  # NaN too
        return f"{layer.key} comes out {error:.1e} off, more than {TOLERANCE[layer.dtype]:.0e}"
    rows = slice(tokens - 1, tokens)
    alone = fused_experts(
        x[rows], w13, w2, ids[rows], weights[rows], tile=tile, interpreted=interpreted
    )
    if not torch.equal(alone, found[rows]) and not interpreted:  # NumPy's bits depend on the batch
        return f"a token of {layer.key} has other bits alone than in company"
    return None


def plain(x: Tensor, w13: Tensor, w2: Tensor, ids: Tensor, weights: Tensor) -> Tensor:
    """What `fused_experts` computes, in float64: (tokens, hidden)."""
    out = torch.zeros(x.shape, dtype=torch.float64, device=x.device)
    for expert in range(len(w13)):
        tokens, slots = torch.nonzero(ids == expert, as_tuple=True)
        gate, up = (x[tokens].double() @ w13[expert].double().T).chunk(2, -1)
        inner = (silu(gate) * up).to(x.dtype).double()
        found = inner @ w2[expert].double().T
        out.index_add_(0, tokens, found * weights[tokens, slots].double()[:, None])
    return out


def shortened(size: int) -> int:
    """A size that is quicker to compute, with the same remainder by a tile's and alignment's."""
    return size if size <= WHOLE else WHOLE // 2 + size % (WHOLE // 2)
