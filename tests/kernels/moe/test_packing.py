"""Formats and panels: what is packed comes back, and rounding is as small as it should be."""

from __future__ import annotations

import pytest
import torch

from collegium.errors import KernelMisuse
from collegium.kernels.moe import pack
from collegium.kernels.moe.formats import Format, quantised
from collegium.kernels.moe.packed import unpacked
from tests.kernels.moe.layers import layer, noise

# Largest relative error (of the norm) of Gaussian weights. A code of b bits over 3 to 4 standard
# deviations has about 2^-b; fp8 has 3 bits of mantissa, fp4 one.
ROUNDING = {
    Format.FP32: 0.0, Format.BF16: 2e-3, Format.INT8: 0.01, Format.FP8: 0.03,
    Format.INT4: 0.12, Format.MXFP4: 0.14,
}  # fmt: skip


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("interleaved", [True, False])
def test_panels_hold_the_rounded_weights(form: Format, gated: bool, interleaved: bool) -> None:
    """Packing rounds as quantising does, and loses nothing else, whatever the padding."""
    made = layer(form, gated=gated, interleaved=interleaved)
    packed = made.packed
    expected = quantised(made.w13, form, 32).values()[2, :, :96]
    if gated and interleaved:
        expected = torch.cat((expected[0::2], expected[1::2]))
    assert torch.equal(unpacked(packed.up, form, 2, gated=gated), expected)
    down = quantised(made.w2, form, 32).values()[3, :, :80]
    assert torch.equal(unpacked(packed.down, form, 3, gated=False), down)


@pytest.mark.parametrize("form", Format)
def test_rounding_is_small(form: Format) -> None:
    """A code that is off by one shows up here."""
    weights = noise(1, 2, 256, 256)
    error = (quantised(weights, form, 128).values() - weights).norm() / weights.norm()
    assert error <= ROUNDING[form]
    assert error > ROUNDING[form] / 4 or form is Format.FP32


def nibbles(codes: torch.Tensor) -> torch.Tensor:
    """Two codes a byte, the even one low, as checkpoints have them."""
    return codes[..., 0::2] | codes[..., 1::2] << 4


@pytest.mark.parametrize("form", [Format.INT8, Format.INT4, Format.FP8, Format.MXFP4])
def test_checkpoints_codes_are_taken_as_they_are(form: Format) -> None:
    """The same panels as from the float weights that they were made of."""
    made = layer(form, hidden=128, inter=128)
    codes = [quantised(w, form, 32) for w in (made.w13, made.w2)]
    stored, scales = [c.codes for c in codes], [c.scales for c in codes]
    if form is Format.INT4:
        stored = [nibbles((c + 8).to(torch.uint8)) for c in stored]
    if form is Format.MXFP4:
        stored = [nibbles(c) for c in stored]
    if form is Format.FP8:
        scales = [s[:, ::128] for s in scales if s is not None]
    again = pack(*stored, format=form, w13_scale=scales[0], w2_scale=scales[1])
    for ours, theirs in ((made.packed.up, again.up), (made.packed.down, again.down)):
        assert torch.equal(ours.panels, theirs.panels)
        assert ours.scales is not None
        assert theirs.scales is not None
        assert torch.equal(ours.scales, theirs.scales)


@pytest.mark.parametrize("shape", [(4,), (4, 256, 1)])
def test_fp8_takes_scales_of_tensors_and_rows(shape: tuple[int, ...]) -> None:
    """They are spread over the blocks."""
    w13 = noise(1, 4, 256, 192).to(torch.float8_e4m3fn)
    w2 = noise(2, 4, 192, 128).to(torch.float8_e4m3fn)
    scale = noise(3, *shape).abs()
    packed = pack(w13, w2, format="fp8", w13_scale=scale, w2_scale=noise(4, 4).abs())
    expected = w13[1].float() * scale.reshape(4, -1, 1)[1]
    assert torch.equal(unpacked(packed.up, Format.FP8, 1, gated=True), expected)


def test_what_does_not_fit_is_refused() -> None:
    """With the reason."""
    w13, w2 = noise(1, 2, 64, 32), noise(2, 2, 32, 32)
    with pytest.raises(KernelMisuse, match="no format 'int3'"):
        pack(w13, w2, format="int3")
    with pytest.raises(KernelMisuse, match=r"w2 must be \(2, 32, 32\)"):
        pack(w13, w2.mT[:, :16])
    with pytest.raises(KernelMisuse, match="both projections"):
        pack(w13, w2, format="int8", w13_scale=w13[..., 0])
    with pytest.raises(KernelMisuse, match=r"needs torch\.int8"):
        pack(w13, w2, format="int8", w13_scale=w13[..., 0], w2_scale=w2[..., 0])
    with pytest.raises(KernelMisuse, match="need their scales"):
        pack(w13.to(torch.int8), w2, format="int8")
    with pytest.raises(KernelMisuse, match="a bias must be"):
        pack(w13, w2, w13_bias=w2)
    with pytest.raises(KernelMisuse, match="multiple of 16"):
        pack(w13, w2, format="int4", group=20)
