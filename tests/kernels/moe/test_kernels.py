"""The C++ kernels, each instruction set forced, against the reference: format by activation."""

from __future__ import annotations

import pytest
import torch

from collegium.errors import KernelMisuse, SetupError
from collegium.kernels.moe import Activation, build, fused_experts
from collegium.kernels.moe import isa as isa_module
from collegium.kernels.moe.formats import Format
from collegium.kernels.moe.isa import Isa, available, chosen
from tests.kernels.moe.layers import layer, noise, routed

COMPILED = available()[1:]
# Relative to the norm. The formats with int8 activations round the inner ones again, from sums that
# differ in their last bits, so that a code may be off by one: up to 5e-3 over 20 draws, up to 4e-3
# here, with any of torch's instruction sets. Floats are up to 3e-4 off.
TOLERANCES = {
    Format.FP32: 2e-6, Format.BF16: 2e-3, Format.FP8: 2e-3, Format.MXFP4: 2e-3,
    Format.INT8: 6e-3, Format.INT4: 6e-3,
}  # fmt: skip


def distance(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Of two tensors, relative to the norm of the second."""
    return float((found.float() - expected.float()).norm() / expected.float().norm())


def test_the_kernels_were_built_here() -> None:
    """Else the tests below would test nothing: this machine has a compiler."""
    assert Isa.PORTABLE in COMPILED


@pytest.mark.parametrize("isa", COMPILED)
@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize("activation", Activation)
def test_they_agree_with_the_reference(isa: Isa, form: Format, activation: Activation) -> None:
    """Gated and not, with biases, sizes that fill no panel, and rows that fill no tile."""
    ways = [(True, 96, 80, 23, True), (False, 200, 72, 5, False)]
    if activation is Activation.SWIGLUOAI:
        ways.pop()
    for gated, hidden, inter, tokens, bias in ways:
        made = layer(form, hidden=hidden, inter=inter, gated=gated, bias=bias)
        x, (ids, weights) = noise(5, tokens, hidden), routed(6, tokens, 4, 2)
        ids[1, 0] = ids[3] = -1
        found, expected = (
            fused_experts(x, made.packed, ids, weights, activation, isa=i) for i in (isa, Isa.TORCH)
        )
        assert distance(found, expected) < TOLERANCES[form]
        assert not found[3].any()


@pytest.mark.parametrize("isa", COMPILED)
@pytest.mark.parametrize("form", Format)
def test_many_rows_and_deep_sums(isa: Isa, form: Format) -> None:
    """More rows for an expert than wait together, and more K than one block."""
    made = layer(form, experts=2, hidden=1184, inter=64, group=64)
    x, (ids, weights) = noise(5, 130, 1184).bfloat16(), routed(6, 130, 2, 2)
    found, expected = (fused_experts(x, made.packed, ids, weights, isa=i) for i in (isa, Isa.TORCH))
    assert distance(found, expected) < max(TOLERANCES[form], 3e-3)  # the output is bfloat16


@pytest.mark.parametrize("isa", COMPILED)
@pytest.mark.parametrize("tokens", [1, 40])
def test_int4_with_one_scale_a_row(isa: Isa, tokens: int) -> None:
    """Groups longer than the buffer for decoded codes are cut."""
    made = layer("int4", experts=2, hidden=4096, inter=32, group=4096)
    assert made.packed.up.group == 1024
    x, (ids, weights) = noise(5, tokens, 4096), routed(6, tokens, 2, 2)
    found, expected = (fused_experts(x, made.packed, ids, weights, isa=i) for i in (isa, Isa.TORCH))
    assert distance(found, expected) < TOLERANCES[Format.INT4]


@pytest.mark.parametrize("isa", available())
@pytest.mark.parametrize("where", ["new", "strided", "x itself"])
def test_a_given_output_holds_the_same(isa: Isa, where: str) -> None:
    """Contiguous or not, with shared experts and without, and in the place of the input."""
    made, shared = layer(), layer(experts=2, inter=32)
    x, (ids, weights) = noise(5, 20, 96).bfloat16(), routed(6, 20, 4, 2)
    for others in (None, shared.packed):
        expected = fused_experts(x, made.packed, ids, weights, shared=others, isa=isa)
        given = x.clone()
        out = {"new": torch.empty_like(x), "strided": x.new_empty(96, 20).t(), "x itself": given}
        found = fused_experts(
            given, made.packed, ids, weights, shared=others, isa=isa, out=out[where]
        )
        assert found is out[where]
        assert torch.equal(found, expected)


def test_an_output_of_another_size_or_type_is_refused() -> None:
    """And nothing is written to it."""
    x, (ids, weights) = noise(5, 3, 96), routed(6, 3, 4, 2)
    for out in (torch.zeros(4, 96), torch.zeros(3, 96).bfloat16()):
        with pytest.raises(KernelMisuse, match=r"out must be torch.float32 \(3, 96\)"):
            fused_experts(x, layer().packed, ids, weights, out=out)
        assert not out.any()


@pytest.mark.parametrize("isa", COMPILED)
def test_shared_experts_and_the_residual(isa: Isa) -> None:
    """As the reference adds them."""
    made, shared = layer(), layer(experts=2, inter=32)
    x, (ids, weights) = noise(5, 9, 96).bfloat16(), routed(6, 9, 4, 2)
    found, expected = (
        fused_experts(
            x, made.packed, ids, weights, isa=i,
            shared=shared.packed, shared_weights=noise(7, 9), residual=noise(8, 9),
        )
        for i in (isa, Isa.TORCH)
    )  # fmt: skip
    assert distance(found, expected) < 5e-3


@pytest.mark.parametrize("isa", COMPILED)
@pytest.mark.parametrize("wrong", [-2, 4, 2**31 - 1])
@pytest.mark.parametrize("kind", [torch.int32, torch.int64])
def test_ids_out_of_range_are_refused(isa: Isa, wrong: int, kind: torch.dtype) -> None:
    """vLLM 0.32's own op reads and writes outside its memory (KERNELS: exit 139)."""
    ids, weights = routed(6, 3, 4, 2)
    ids[1, 1] = wrong
    with pytest.raises(KernelMisuse, match=f"expert ids must be -1 to 3: found {wrong}"):
        fused_experts(noise(5, 3, 96), layer().packed, ids.to(kind), weights, isa=isa)


@pytest.mark.parametrize("isa", COMPILED)
def test_empty_batches_and_inputs_in_pieces(isa: Isa) -> None:
    """No token, no slot, no work; strides don't matter."""
    made = layer()
    none = fused_experts(noise(5, 0, 96), made.packed, *routed(6, 0, 4, 2), isa=isa)
    assert none.shape == (0, 96)
    ids, weights = routed(6, 7, 4, 2)
    x = noise(5, 96, 14).T[::2]
    skipped = fused_experts(x, made.packed, torch.full_like(ids, -1), weights, isa=isa)
    assert not skipped.any()
    spread = torch.stack((ids, ids), -1)[..., 0]
    found = fused_experts(x, made.packed, spread, weights, isa=isa)
    assert torch.equal(found, fused_experts(x.clone(), made.packed, ids, weights, isa=isa))


def test_an_instruction_set_can_be_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a variable; one that can't run is refused with what can."""
    monkeypatch.delenv("COLLEGIUM_ISA", raising=False)
    assert chosen() is available()[-1]
    monkeypatch.setenv("COLLEGIUM_ISA", "portable")
    assert chosen() is Isa.PORTABLE
    monkeypatch.setenv("COLLEGIUM_ISA", "mmx")
    with pytest.raises(SetupError, match="COLLEGIUM_ISA=mmx can't run here; choose from torch"):
        chosen()


def test_instruction_sets_are_numbered_as_in_cpp() -> None:
    """`ops.cpp` has the same order."""
    text = (build.SOURCES / "ops.cpp").read_text()
    assert f"enum Isa {{ {', '.join(isa_module.Isa)[len('torch, ') :]} }};" in text
