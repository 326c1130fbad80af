"""The memory layout of codes: panels of 64 columns that the kernels read sequentially.

A panel holds 64 rows of the weight matrix (columns of the product) for all of K, K ascending, in
the order in which dot-product instructions take it: pairs of bfloat16, quads of bytes. A gated
matrix has 32 gate and 32 up columns in each panel: one tile has all that the activation needs.
All instruction sets share the layout; `csrc/panel.h` is its reader.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from collegium.kernels.moe.formats import Codes, Format, padded, split

PANEL = 64
HALF = PANEL // 2
WHOLE_BLOCK = 1024  # K of one pass where the format has no groups: 128 KiB of bf16, a part of L2
UNSIGNED = {Format.INT8: 128, Format.INT4: 8}  # added to codes: the dot product wants unsigned ones
TOGETHER = {
    Format.FP32: 1, Format.BF16: 2, Format.INT8: 4, Format.INT4: 4, Format.FP8: 2, Format.MXFP4: 2
}  # fmt: skip


def block(form: Format, group: int) -> int:
    """K that is accumulated in registers before it is scaled and added to the sum."""
    if form is Format.MXFP4:
        return 4 * group
    return group if form in (Format.INT4, Format.FP8) else WHOLE_BLOCK


def columns(rows: Tensor, *, gated: bool, interleaved: bool) -> Tensor:
    """Reorder and pad dimension 1 to whole panels: (E, N, ...) to (E, panels * 64, ...)."""
    if not gated:
        return _pad_rows(rows, PANEL)
    gate, up = (rows[:, 0::2], rows[:, 1::2]) if interleaved else rows.chunk(2, 1)
    halves = [split(_pad_rows(part, HALF), 1, -1, HALF) for part in (gate, up)]
    return torch.cat(halves, 2).flatten(1, 2)


def rows_of(columns: Tensor, rows: int, *, gated: bool) -> Tensor:
    """The inverse of `columns`, gate before up, without padding."""
    if not gated:
        return columns[:, :rows]
    halves = split(columns, 1, -1, 2, HALF).unbind(2)
    return torch.cat([half.flatten(1, 2)[:, : rows // 2] for half in halves], 1)


def _pad_rows(tensor: Tensor, multiple: int) -> Tensor:
    dimensions = [0, 0] * (tensor.dim() - 2)
    return pad(tensor, [*dimensions, 0, -tensor.shape[1] % multiple])


def to_panels(codes: Tensor, form: Format, group: int) -> Tensor:
    """(E, panels * 64, K) to bytes (E, panels, bytes of a panel); K is padded to whole blocks."""
    codes = codes.view(torch.uint8) if form is Format.FP8 else codes
    codes = padded(codes, padding(form, group))
    if form in UNSIGNED:
        codes = (codes.short() + UNSIGNED[form]).to(torch.uint8)
    together = TOGETHER[form]
    panels = split(split(codes, 1, -1, PANEL), -1, -1, together).transpose(2, 3)
    flat = panels.flatten(2)  # (E, panels, K / together * 64 * together)
    if form is Format.INT4:
        low, high = split(flat, -1, -1, 2, 4 * PANEL).unbind(-2)
        flat = (low | high << 4).flatten(2)
    if form is Format.FP8:
        flat = _woven(flat, 2)
    if form is Format.MXFP4:
        low, high = split(_woven(flat, 4), -1, -1, 2, PANEL).unbind(-2)
        flat = (low | high << 4).flatten(2)
    stored: Tensor = flat.contiguous().view(torch.uint8)
    return stored


def from_panels(panels: Tensor, form: Format, wide: int) -> Tensor:
    """The inverse of `to_panels`: codes (E, panels * 64, K)."""
    flat = panels
    if form in (Format.INT4, Format.MXFP4):
        size = 4 * PANEL if form is Format.INT4 else PANEL
        parts = split(flat, -1, -1, size)
        flat = torch.stack((parts & 15, parts >> 4), -2).flatten(2)
    if form in (Format.FP8, Format.MXFP4):
        flat = _unwoven(flat, 2 if form is Format.FP8 else 4)
    kinds = {Format.FP32: torch.float32, Format.BF16: torch.bfloat16}
    flat = flat.view(kinds.get(form, torch.uint8))
    codes = split(flat, -1, -1, PANEL, TOGETHER[form]).transpose(2, 3).flatten(3)
    codes = codes.flatten(1, 2)[..., :wide]
    if form in UNSIGNED:
        return (codes.short() - UNSIGNED[form]).to(torch.int8)
    return codes.view(torch.float8_e4m3fn) if form is Format.FP8 else codes


def _woven(flat: Tensor, vectors: int) -> Tensor:
    """Order bytes so that `unpacklo` and `unpackhi` of 128-bit lanes put words in their order."""
    parts = split(flat, -1, -1, vectors // 2, 2, 4, 8)  # (…, halves, vector, lane, word)
    return parts.transpose(-3, -2).flatten(2)


def _unwoven(flat: Tensor, vectors: int) -> Tensor:
    parts = split(flat, -1, -1, vectors // 2, 4, 2, 8)
    return parts.transpose(-3, -2).flatten(2)


def padding(form: Format, group: int) -> int:
    """K is padded to a multiple of this."""
    return block(form, group) if form in (Format.INT4, Format.FP8, Format.MXFP4) else TOGETHER[form]


def scale_panels(codes: Codes) -> Tensor | None:
    """Scales of arranged rows (E, panels * 64, groups) as (E, panels, groups, 64)."""
    if codes.scales is None:
        return None
    scales = codes.scales
    if codes.format is Format.MXFP4:
        scales = pad(scales, (0, -scales.shape[-1] % 4), value=7)
    return split(scales, 1, -1, PANEL).transpose(2, 3).contiguous()
