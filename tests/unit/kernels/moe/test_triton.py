"""The GPU's kernels without a GPU: right in the interpreter, and compiled for sm_80 and sm_90."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from collegium.kernels.moe.triton_ahead import Resources, compiled
from collegium.kernels.moe.triton_experts import TILES, Tile, grouped, tile_of

ROOT = Path(__file__).resolve().parents[4]
WIDE = Tile(64, 64, 64)


def test_the_kernels_compute_the_reference_in_the_interpreter() -> None:
    """Tails, full tiles, skipped slots and rows; alone or in company the same bits."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.kernels.moe.triton_interpreted"],
        env=os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"},
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)

    assert found["fp32"] < 1e-5
    assert found["bf16"] < 1e-2
    assert found["fp32 alone"]
    assert found["bf16 alone"]
    assert found["fp32 skipped"] == found["bf16 skipped"] == 0
    # The interpreter's bfloat16 product is wrong uncast. Where this fails, UPCAST can go.
    assert not found["bf16 uncast"] < 1


@pytest.mark.slow
@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize("tile", TILES, ids=str)
def test_every_tile_compiles_within_the_limits(tile: Tile, capability: int) -> None:
    """No spilt registers, memory that fits, and wgmma on sm_90."""
    for gated in (True, False):
        assert not compiled(tile, capability, gated=gated).problems(capability, tile)


def test_what_does_not_fit_is_told() -> None:
    """The gate sees spills, too much memory and missing instructions."""
    bad = Resources(shared=300_000, registers=256, spilled=8, wgmma=False)

    assert len(bad.problems(90, WIDE)) == 4
    assert len(bad.problems(80, WIDE)) == 3
    assert not Resources(70_000, 128, 0, wgmma=False).problems(90, Tile(16, 64, 64))


def test_slots_are_grouped_by_expert_in_whole_tiles() -> None:
    """Each tile has one expert; -1 is in none; padding has the number behind the last slot."""
    grouping = grouped(torch.tensor([[2, 0], [-1, 2], [2, 1]]), experts=4, rows=2)
    tiles = grouping.slots.view(-1, 2).tolist()

    assert grouping.experts.tolist() == [0, 1, 2, 2, -1, -1, -1]
    assert tiles[:4] == [[1, 6], [5, 6], [0, 3], [4, 6]]
    assert all(tile == [6, 6] for tile in tiles[4:])


def test_the_tile_is_the_layers_own() -> None:
    """It is chosen by type and size; the batch is no argument."""
    assert tile_of(torch.bfloat16, 2048, 1024) == tile_of(torch.bfloat16, 512, 4096) == TILES[0]
    assert tile_of(torch.bfloat16, 4096, 14336) == WIDE
