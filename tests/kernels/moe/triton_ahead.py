"""Compile the Triton kernels for GPUs that are not here, and say what they use of one."""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collegium.errors import SetupError
from collegium.kernels.moe.triton_experts import COLUMNS, combined_slots, grouped_product
from collegium.kernels.moe.triton_tiles import Tile

SHARED_KIB = {80: 163, 90: 227}
"""Dynamic shared memory of a program by compute capability (CUDA C++ guide, table 30)."""
REGISTERS = 255  # most that a thread can have
POINTERS = ("a", "b", "out", "slot_weights", "slots", "experts")


@dataclass(frozen=True)
class Resources:
    """What one compiled kernel needs: bytes of shared memory, registers a thread, bytes spilt."""

    shared: int
    registers: int
    spilled: int
    wgmma: bool

    def problems(self, capability: int, tile: Tile) -> list[str]:
        """Why a tile should not be shipped for a GPU; wgmma takes tiles of 64 rows and more."""
        limits = {
            f"{self.shared} bytes of shared memory": self.shared > 1024 * SHARED_KIB[capability],
            f"{self.registers} registers a thread": self.registers > REGISTERS,
            f"{self.spilled} bytes of spilt registers": self.spilled > 0,
            "no wgmma": capability == 90 and tile.m >= 64 and not self.wgmma,
        }
        return [text for text, broken in limits.items() if broken]


def compiled(tile: Tile, capability: int, *, gated: bool, dtype: str = "bf16") -> Resources:
    """Compile one of a layer's two products for a compute capability; needs no GPU."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    floats = f"*{dtype}"
    out = floats if gated else "*fp32"
    types = (floats, floats, out, "*fp32", "*i32", "*i32")
    sizes = dict.fromkeys(("total", "N", "K"), "i32")
    constants = {
        "DIVIDE": 8 if gated else 1, "GATED": gated, "WEIGHTED": not gated, "UPCAST": False,
        "BM": tile.m, "BN": tile.n, "BK": tile.k,
    }  # fmt: skip
    signature = (
        dict(zip(POINTERS, types, strict=True)) | sizes | dict.fromkeys(constants, "constexpr")
    )
    # Pointers and sizes are multiples of 16 in every layer that is served: loads are wide.
    aligned = [i for i, name in enumerate(signature) if name in (*POINTERS, "N", "K")]
    source = ASTSource(
        grouped_product,
        signature=signature,
        constexprs=constants,
        attrs={(i,): [["tt.divisibility", 16]] for i in aligned},
    )
    kernel: Any = triton.compile(
        source,
        target=GPUTarget("cuda", capability, 32),
        options={
            "num_warps": tile.warps,
            "num_stages": tile.stages,
            "enable_fp_fusion": True,  # triton 3.10 changes the default
        },
    )
    usage = resource_usage(kernel.asm["cubin"])
    return Resources(
        kernel.metadata.shared, usage["REG"], usage["LOCAL"], "wgmma" in kernel.asm["ptx"]
    )


def combined(capability: int, dtype: str = "bf16") -> Resources:
    """Compile the sum over slots, with a residual."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    types = ("*fp32", "*i32", "*fp32", f"*{dtype}", f"*{dtype}", "i32", "i32")
    names = ("slots", "ids", "residual", "x", "out", "H", "experts")
    constants = {"k": 8, "RESIDUAL": True, "BH": COLUMNS}
    signature = dict(zip(names, types, strict=True)) | dict.fromkeys(constants, "constexpr")
    aligned: dict[Any, Any] = {(i,): [["tt.divisibility", 16]] for i in range(6)}
    source = ASTSource(combined_slots, signature=signature, constexprs=constants, attrs=aligned)
    options = {"num_warps": 4, "enable_fp_fusion": True}
    kernel: Any = triton.compile(source, GPUTarget("cuda", capability, 32), options)
    usage = resource_usage(kernel.asm["cubin"])
    return Resources(kernel.metadata.shared, usage["REG"], usage["LOCAL"], wgmma=False)


def resource_usage(cubin: bytes) -> dict[str, int]:
    """Registers (REG), stack and local memory of a cubin, by the tool in Triton's wheel."""
    import triton

    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        told = subprocess.run(
            [str(tool), "--dump-resource-usage", file.name],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    found = {name: int(number) for name, number in re.findall(r"(\w+):(\d+)", told.stdout)}
    if "REG" not in found:
        raise SetupError(f"cuobjdump says nothing of registers: {told.stderr or told.stdout}")
    return found
