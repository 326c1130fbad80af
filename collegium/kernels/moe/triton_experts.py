"""Sparse layers on a GPU: two grouped matrix products in Triton, with the CPU kernels' API.

version 0  `reference.forward`, plain torch: the truth
version 1  slots sorted by expert, a tile of slots and columns a program; gate, up and activation in
           one pass, weights in the second one's epilogue, slots summed in their order by a third

The tile depends on the layer alone, never on the batch, and K is summed in one order: a row's
result does not depend on its neighbours. Weights are bfloat16, float16 or float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from collegium.errors import KernelMisuse
from collegium.kernels.moe.triton_tiles import TABLES, Layer, Tile

COLUMNS = 512
"""That one program sums over a token's slots."""


@dataclass(frozen=True)
class Grouping:
    """Slots in the order of their experts, each expert's padded to whole tiles.

    `slots` holds slot numbers (token * k + place), `total` for padding; `experts` names each tile's
    expert, -1 for tiles that are empty. Shapes depend on the batch's size only (CUDA graphs).
    """

    slots: Tensor
    experts: Tensor


# Long, for a tile's whole way stays in one kernel: its pointers and masks are all that parts share.
@triton.jit  # type: ignore[untyped-decorator]
def grouped_product(  # type: ignore[no-untyped-def]
    a,
    b,
    out,
    slot_weights,
    slots,
    experts,
    total,
    N,
    K,
    DIVIDE: tl.constexpr,
    GATED: tl.constexpr,
    WEIGHTED: tl.constexpr,
    UPCAST: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
    BK: tl.constexpr,
):
    """out[slot] = a[slot // DIVIDE] @ b[expert].T; GATED: silu(gate) * up, b being (E, 2N, K).

    a (rows, K), b (E, N or 2N, K), out (slots, N), contiguous; slot_weights (slots,) float32.
    """
    block = tl.program_id(0)
    expert = tl.load(experts + block)
    if expert < 0:
        return
    mine = tl.load(slots + block * BM + tl.arange(0, BM))
    there = mine < total
    columns = tl.program_id(1) * BN + tl.arange(0, BN)
    inside = columns < N
    depth = tl.arange(0, BK)
    rows = (mine // DIVIDE).to(tl.int64)
    left = a + rows[:, None] * K + depth[None, :]
    height = 2 * N if GATED else N
    right = (
        b + expert.to(tl.int64) * height * K + columns[None, :].to(tl.int64) * K + depth[:, None]
    )
    first = tl.zeros((BM, BN), dtype=tl.float32)
    second = tl.zeros((BM, BN), dtype=tl.float32)
    for start in range(0, K, BK):
        deep = start + depth < K
        x = tl.load(left + start, mask=there[:, None] & deep[None, :], other=0.0)
        w = tl.load(right + start, mask=deep[:, None] & inside[None, :], other=0.0)
        if UPCAST:  # the interpreter multiplies bfloat16 as integers (triton 3.6 and 3.9)
            x, w = x.to(tl.float32), w.to(tl.float32)
        first = tl.dot(x, w, acc=first, input_precision="ieee")
        if GATED:
            up = right + N.to(tl.int64) * K + start
            w = tl.load(up, mask=deep[:, None] & inside[None, :], other=0.0)
            if UPCAST:
                w = w.to(tl.float32)
            second = tl.dot(x, w, acc=second, input_precision="ieee")
    if GATED:
        first = first * tl.sigmoid(first) * second
    if WEIGHTED:
        first = first * tl.load(slot_weights + mine, mask=there, other=0.0)[:, None]
    target = out + mine[:, None].to(tl.int64) * N + columns[None, :]
    tl.store(target, first.to(out.dtype.element_ty), mask=there[:, None] & inside[None, :])


@triton.jit  # type: ignore[untyped-decorator]
def combined_slots(  # type: ignore[no-untyped-def]
    slots,
    ids,
    residual,
    x,
    out,
    H,
    experts,
    k: tl.constexpr,
    RESIDUAL: tl.constexpr,
    BH: tl.constexpr,
):
    """out[token] = the sum of its slots in their order, plus residual[token] * x[token].

    slots (tokens * k, H) float32, ids (tokens, k); those of no expert have never been written.
    """
    token = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BH + tl.arange(0, BH)
    inside = columns < H
    total = tl.zeros((BH,), dtype=tl.float32)
    for place in range(k):
        slot = token * k + place
        expert = tl.load(ids + slot)
        wide = tl.where((expert >= 0) & (expert < experts), H, 0)
        total += tl.load(slots + slot * H + columns, mask=columns < wide, other=0.0)
    if RESIDUAL:
        own = tl.load(x + token * H + columns, mask=inside, other=0.0).to(tl.float32)
        total += tl.load(residual + token) * own
    tl.store(out + token * H + columns, total.to(out.dtype.element_ty), mask=inside)


def fused_experts(
    x: Tensor,
    w13: Tensor,
    w2: Tensor,
    ids: Tensor,
    weights: Tensor,
    *,
    residual: Tensor | None = None,
    out: Tensor | None = None,
    tile: Tile | None = None,
    interpreted: bool = False,
) -> Tensor:
    """Compute each token's weighted sum of SwiGLU experts: (tokens, hidden), with `x`'s dtype.

    x (tokens, H); w13 (E, 2I, H), gate rows before up rows; w2 (E, H, I); ids integers and weights
    float32, both (tokens, k). An id outside the experts skips its slot. `residual` (tokens,) adds
    that much of `x` itself. `out`, (tokens, H) and contiguous, is written to where it is given.
    `tile` is the device's table's for the layer, or its default. Nothing waits for the GPU, so that
    a CUDA graph can record it.
    """
    tokens, k = ids.shape
    experts, double, hidden = w13.shape
    inter = double // 2
    if x.shape != (tokens, hidden) or w2.shape != (experts, hidden, inter):
        raise KernelMisuse(
            f"x {tuple(x.shape)}, w13 {tuple(w13.shape)} and w2 {tuple(w2.shape)} don't fit"
        )
    x = x.contiguous()
    out = torch.empty_like(x) if out is None else out
    if not tokens:
        return out
    if tile is None:
        tile = TABLES.tile(Layer(x.dtype, experts, hidden, inter), device_name(x))
    grouping = grouped(ids, experts, tile.m)
    inner = x.new_empty(tokens * k, inter)
    slots = x.new_empty(tokens * k, hidden, dtype=torch.float32)
    flat = weights.float().reshape(-1).contiguous()
    launch: dict[str, Any] = {
        "tile": tile,
        "grouping": grouping,
        "total": tokens * k,
        "upcast": interpreted,
    }
    _product(x, w13, inner, flat, divide=k, gated=True, **launch)
    _product(inner, w2, slots, flat, divide=1, gated=False, **launch)
    combine: Any = combined_slots
    combine[(tokens, triton.cdiv(hidden, COLUMNS))](
        slots, ids.contiguous(), slots if residual is None else residual.float().contiguous(),
        x, out, hidden, experts,
        k=k, RESIDUAL=residual is not None, BH=COLUMNS, num_warps=4, enable_fp_fusion=True,
    )  # fmt: skip
    return out


def device_name(x: Tensor) -> str:
    """The name under which measurements of a tensor's device are kept."""
    return torch.cuda.get_device_name(x.device) if x.is_cuda else x.device.type


def _product(
    a: Tensor,
    b: Tensor,
    out: Tensor,
    weights: Tensor,
    *,
    tile: Tile,
    grouping: Grouping,
    total: int,
    divide: int,
    gated: bool,
    upcast: bool,
) -> None:
    columns, depth = out.shape[1], a.shape[1]
    grid = (len(grouping.experts), triton.cdiv(columns, tile.n))
    kernel: Any = grouped_product
    kernel[grid](
        a, b.contiguous(), out, weights, grouping.slots, grouping.experts, total, columns, depth,
        DIVIDE=divide, GATED=gated, WEIGHTED=not gated, UPCAST=upcast,
        BM=tile.m, BN=tile.n, BK=tile.k, num_warps=tile.warps, num_stages=tile.stages,
        enable_fp_fusion=True,
    )  # fmt: skip


def grouped(ids: Tensor, experts: int, rows: int) -> Grouping:
    """Sort slots by expert and pad each expert's to tiles of `rows`; ids of none are left out."""
    flat = ids.reshape(-1).long()
    total = len(flat)
    blocks = min(total, triton.cdiv(total, rows) + experts)  # each has a slot at least
    owner = torch.where((flat >= 0) & (flat < experts), flat, experts)
    order = torch.argsort(owner, stable=True)
    owner = owner[order]
    # Not bincount, which waits for the GPU to tell the largest id: nothing here may (CUDA graphs).
    every = torch.arange(experts, device=ids.device)
    before = torch.searchsorted(owner, every)
    counts = torch.searchsorted(owner, every, right=True) - before
    tiles = (counts + rows - 1) // rows
    ends = tiles.cumsum(0)
    begins, real = (ends - tiles) * rows, owner < experts
    owner = owner.clamp(max=experts - 1)
    place = begins[owner] + torch.arange(total, device=ids.device) - before[owner]
    # Slots without an expert go to one place behind the end.
    place = torch.where(real, place, blocks * rows)
    slots = torch.full((blocks * rows + 1,), total, dtype=torch.int32, device=ids.device)
    slots[place] = order.int()
    number = torch.arange(blocks, device=ids.device)
    owners = torch.searchsorted(ends, number, right=True)
    owners = torch.where(owners < experts, owners, -1).int()
    return Grouping(slots[:-1].contiguous(), owners.contiguous())
