"""Select the instruction set of the kernels; torch if nothing is built."""

from __future__ import annotations

import logging
import os
from enum import StrEnum
from functools import cache

import torch

from collegium.errors import SetupError
from collegium.kernels.moe.build import CannotBuild, library

log = logging.getLogger(__name__)

VARIABLE = "COLLEGIUM_ISA"


class Isa(StrEnum):
    """In rising order of speed; `torch` is the reference."""

    TORCH = "torch"
    PORTABLE = "portable"
    AVX2 = "avx2"
    AVX512 = "avx512"
    AVX512_BF16 = "avx512bf16"  # with VNNI and VBMI: Zen 4, Sapphire Rapids and later
    AMX = "amx"  # with BF16 and INT8, where Linux lends the process the tiles

    @property
    def number(self) -> int:
        """The number in `csrc/ops.cpp`."""
        return list(Isa).index(self) - 1


@cache
def available() -> tuple[Isa, ...]:
    """Return what can compute here, the fastest last; builds the kernels on the first call."""
    try:
        torch.ops.load_library(str(library()))  # type: ignore[no-untyped-call]
    except (CannotBuild, OSError) as exc:
        log.warning("MoE kernels run on plain torch, much slower: %s", exc)
        return (Isa.TORCH,)
    found = torch.ops.collegium_moe.supported()
    return (Isa.TORCH, *(isa for isa in Isa if isa.number >= 0 and found >> isa.number & 1))


def chosen() -> Isa:
    """The fastest, or the one in `COLLEGIUM_ISA`; raise SetupError if that one can't run."""
    name = os.environ.get(VARIABLE)
    if not name:
        return available()[-1]
    if name not in available():
        raise SetupError(f"{VARIABLE}={name} can't run here; choose from {', '.join(available())}")
    return Isa(name)
