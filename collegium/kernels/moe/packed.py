"""The experts of one layer, packed once for the kernels, and unpacked for the reference."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from collegium.errors import KernelMisuse
from collegium.kernels.moe import layout
from collegium.kernels.moe.formats import Codes, Format, given, quantised, split
from collegium.kernels.moe.memory import in_huge_pages

STEP = 16  # of K, in which activations are quantised
FORMATS = tuple(Format)  # as `csrc/problem.h` counts them


@dataclass(frozen=True)
class PackedMatrix:
    """One projection of all experts.

    `panels` are bytes (E, panels, …), `scales` (E, panels, groups, 64), `bias` float32
    (E, panels, 64); `rows` and `wide` are the true N and K, before padding.
    """

    panels: Tensor
    scales: Tensor | None
    bias: Tensor | None
    rows: int
    wide: int
    group: int

    def operands(self, form: Format) -> tuple[Tensor | int | None, ...]:
        """The kernels' arguments, including padded K and the number of terms summed at once."""
        multiple = layout.padding(form, self.group)
        wide = -(-self.wide // multiple) * multiple
        return self.panels, self.scales, self.bias, wide, layout.block(form, self.group)


@dataclass(frozen=True)
class PackedExperts:
    """The arguments of `fused_experts`; `up` contains gate and up if gated."""

    format: Format
    experts: int
    hidden: int
    inter: int
    gated: bool
    up: PackedMatrix
    down: PackedMatrix

    @cached_property
    def operands(self) -> tuple[Tensor | int | None, ...]:
        """The kernels' arguments that stay the same from batch to batch."""
        both = *self.up.operands(self.format), *self.down.operands(self.format)
        return *both, FORMATS.index(self.format), self.gated

    @property
    def nbytes(self) -> int:
        """Bytes of all experts, as they lie in memory."""
        parts = (t for m in (self.up, self.down) for t in (m.panels, m.scales, m.bias))
        return sum(t.nbytes for t in parts if t is not None)


def pack(
    w13: Tensor,
    w2: Tensor,
    *,
    format: Format | str = Format.BF16,
    w13_scale: Tensor | None = None,
    w2_scale: Tensor | None = None,
    w13_bias: Tensor | None = None,
    w2_bias: Tensor | None = None,
    gated: bool = True,
    interleaved: bool = False,
    group: int = 128,
) -> PackedExperts:
    """Pack a layer's weights: `w13` (E, 2I, H), gate rows before up rows, and `w2` (E, H, I).

    Ungated experts have `w13` (E, I, H). `interleaved` takes gate and up rows in turns (gpt-oss).
    Float weights are quantised here (`group` is int4's); quantised ones come with their scales, in
    the shapes of `formats.given`. Biases are (E, 2I or I) and (E, H). Raises KernelMisuse.
    """
    form = _format(format)
    if (w13_scale is None) != (w2_scale is None):
        raise KernelMisuse("give the scales of both projections or of none")
    first = _codes(w13, w13_scale, form, group)
    second = _codes(w2, w2_scale, form, group)
    experts, rows, hidden = first.codes.shape
    inter = rows // 2 if gated else rows
    if second.codes.shape != (experts, hidden, inter) or (gated and rows % 2):
        raise KernelMisuse(
            f"w2 must be {(experts, hidden, inter)} for w13 {(experts, rows, hidden)}, "
            f"not {tuple(second.codes.shape)}"
        )
    up = _matrix(first, w13_bias, gated=gated, interleaved=interleaved)
    down = _matrix(second, w2_bias, gated=False, interleaved=False)
    return PackedExperts(form, experts, hidden, inter, gated, up, down)


def _format(name: Format | str) -> Format:
    try:
        return Format(name)
    except ValueError as exc:
        raise KernelMisuse(f"no format '{name}'; available: {', '.join(Format)}") from exc


def _codes(weights: Tensor, scales: Tensor | None, form: Format, group: int) -> Codes:
    if weights.dim() != 3 or weights.numel() == 0:
        raise KernelMisuse(f"weights must be (experts, rows, K), not {tuple(weights.shape)}")
    if scales is not None:
        codes = given(weights, scales, form)
        return codes if form is not Format.INT4 else _short_groups(codes)
    if weights.dtype not in (torch.float32, torch.bfloat16, torch.float16):
        raise KernelMisuse(f"weights of {weights.dtype} need their scales")
    if form is Format.INT4 and (group <= 0 or group % STEP):
        raise KernelMisuse(f"group must be a positive multiple of {STEP}, not {group}")
    codes = quantised(weights, form, group)
    return codes if form is not Format.INT4 else _short_groups(codes)


def _short_groups(codes: Codes) -> Codes:
    """Halve the groups of int4, duplicating their scales, until one fits the kernels' buffer."""
    scales, group = codes.scales, codes.group
    assert scales is not None
    while group > layout.WHOLE_BLOCK and group % (2 * STEP) == 0:
        scales, group = scales.repeat_interleave(2, -1), group // 2
    if group % STEP or group > layout.WHOLE_BLOCK:
        raise KernelMisuse(f"int4 groups must be a multiple of {STEP}, not {codes.group}")
    groups = -(-codes.codes.shape[-1] // group)
    return Codes(codes.format, codes.codes, scales[..., :groups], group)


def _matrix(codes: Codes, bias: Tensor | None, *, gated: bool, interleaved: bool) -> PackedMatrix:
    def arranged(rows: Tensor) -> Tensor:
        return layout.columns(rows, gated=gated, interleaved=interleaved)

    _, rows, wide = codes.codes.shape
    if bias is not None and bias.shape != codes.codes.shape[:2]:
        raise KernelMisuse(f"a bias must be {tuple(codes.codes.shape[:2])}, not {bias.shape}")
    values = codes.codes.view(torch.uint8) if codes.format is Format.FP8 else codes.codes
    in_order = Codes(
        codes.format,
        arranged(values),
        None if codes.scales is None else arranged(codes.scales),
        codes.group,
    )
    scales = layout.scale_panels(in_order)
    return PackedMatrix(
        in_huge_pages(layout.to_panels(in_order.codes, codes.format, codes.group)),
        None if scales is None else in_huge_pages(scales),
        None if bias is None else split(arranged(bias.float()), 1, -1, layout.PANEL).contiguous(),
        rows,
        wide,
        codes.group,
    )


def unpacked(matrix: PackedMatrix, form: Format, expert: int, *, gated: bool) -> Tensor:
    """Return one expert's weights as float32 (rows, K), gate before up, as the kernels use them."""
    one = slice(expert, expert + 1)
    codes = layout.from_panels(matrix.panels[one], form, matrix.wide)
    scales = None
    if matrix.scales is not None:
        scales = matrix.scales[one].transpose(2, 3).flatten(1, 2)
        scales = scales[..., : -(-matrix.wide // matrix.group)]
    values = Codes(form, codes, scales, matrix.group).values()
    return layout.rows_of(values, matrix.rows, gated=gated)[0]


def unpacked_bias(matrix: PackedMatrix, expert: int, *, gated: bool) -> Tensor | None:
    """Return one expert's bias, float32 (rows,), or none."""
    if matrix.bias is None:
        return None
    flat = matrix.bias[expert : expert + 1].flatten(1)
    return layout.rows_of(flat, matrix.rows, gated=gated)[0]
