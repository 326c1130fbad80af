"""The kernels on AMX tiles: there where they can be, left out in words where they can't."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from collegium.kernels.moe import fused_experts
from collegium.kernels.moe.formats import Format
from collegium.kernels.moe.isa import Isa, available
from tests.kernels.moe.layers import layer, noise, routed

FLAGS = torch.cpu.get_capabilities()
HAS_AMX = bool(FLAGS.get("amx_bf16") and FLAGS.get("amx_int8"))
needs_amx = pytest.mark.skipif(not HAS_AMX, reason="NOT TESTED: this processor has no AMX")
# A signal stack that can't hold the tiles makes Linux refuse them (its arch_prctl says ENOSPC).
REFUSED = """
import ctypes
from collegium.kernels.moe.isa import available

class Stack(ctypes.Structure):
    _fields_ = [("at", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]

memory = ctypes.create_string_buffer(8192)
stack = Stack(ctypes.addressof(memory), 0, len(memory))
assert ctypes.CDLL(None).sigaltstack(ctypes.byref(stack), None) == 0
print(*available())
"""


@needs_amx
def test_a_processor_with_amx_computes_on_it() -> None:
    """By default, and so in every test that takes the available instruction sets in turn."""
    assert available()[-1] is Isa.AMX


@needs_amx
@pytest.mark.parametrize("form", [Format.INT8, Format.INT4])
@pytest.mark.parametrize("tokens", [3, 60])
def test_integers_have_the_bits_of_the_vectors(form: Format, tokens: int) -> None:
    """A few rows take vectors on AMX as well: their codes' sums are exact in any order."""
    made = layer(form, experts=2, hidden=1184, inter=80)
    x, (ids, weights) = noise(5, tokens, 1184).bfloat16(), routed(6, tokens, 2, 2)
    found = fused_experts(x, made.packed, ids, weights, isa=Isa.AMX)
    vectors = fused_experts(x, made.packed, ids, weights, isa=Isa.AVX512_BF16)
    assert torch.equal(found, vectors)


@needs_amx
@pytest.mark.parametrize("form", [Format.BF16, Format.FP8, Format.INT8])
def test_rows_of_a_second_pass_over_the_panels_have_the_same_bits(form: Format) -> None:
    """960 rows of an expert are the most that share a pass; one, 17 and 990 come out alike."""
    made = layer(form, experts=2, hidden=96, inter=80)
    x, (ids, weights) = noise(5, 990, 96).bfloat16(), routed(6, 990, 2, 2)
    found = fused_experts(x, made.packed, ids, weights, isa=Isa.AMX)
    for rows in (slice(975, 976), slice(960, 977)):
        alone = fused_experts(x[rows], made.packed, ids[rows], weights[rows], isa=Isa.AMX)
        assert torch.equal(alone, found[rows])


@needs_amx
def test_where_linux_refuses_the_tiles_vectors_compute() -> None:
    """In a process of its own: a permission once given stays."""
    ended = subprocess.run([sys.executable, "-c", REFUSED], capture_output=True, text=True)
    assert ended.stdout.split()[-1] == "avx512bf16", ended.stderr
