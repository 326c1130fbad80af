"""The GPU's kernels without a GPU: right in the interpreter, and compiled for sm_80 and sm_90."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from collegium.errors import SetupError
from collegium.kernels.moe.triton_experts import grouped
from collegium.kernels.moe.triton_tiles import CANDIDATES, TILES, Layer, Tile, TileTables
from tests.kernels.moe.triton_ahead import Resources, combined, compiled

ROOT = Path(__file__).resolve().parents[3]
WIDE = Tile(64, 64, 64)


def test_the_kernels_compute_the_reference_in_the_interpreter() -> None:
    """Tails, full tiles, skipped slots and rows; alone or in company the same bits.

    Over 20 seeds the error is up to 6e-7 in float32 and 0.0085 in bfloat16, two of its steps. Rows
    whose tile depended on their neighbours would have other bits: in another tile they do.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.kernels.moe.triton_interpreted"],
        env=os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"},
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)

    assert found["fp32"] < 1e-5
    assert found["bf16"] < 1e-2
    assert found["fp32 alone"]
    assert found["bf16 alone"]
    assert not found["fp32 alone in another tile"]
    assert found["fp32 skipped"] == found["bf16 skipped"] == 0
    assert found["tiles"] == len(CANDIDATES)
    assert found["worst tile"] < 1e-2
    # The interpreter's bfloat16 product is wrong uncast. Where this fails, UPCAST can go.
    assert not found["bf16 uncast"] < 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tile", "capability"), [(t, c) for t in CANDIDATES for c in (80, 90) if c == 90 or t in TILES]
)
def test_every_tile_compiles_within_the_limits(tile: Tile, capability: int) -> None:
    """No spilt registers, memory that fits, and wgmma on sm_90."""
    for gated in (True, False):
        assert not compiled(tile, capability, gated=gated).problems(capability, tile)


@pytest.mark.slow
@pytest.mark.parametrize("capability", [80, 90])
def test_the_sum_over_slots_compiles(capability: int) -> None:
    """It has no tile to choose."""
    assert not combined(capability).problems(capability, TILES[0])


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

    assert grouping.experts.tolist() == [0, 1, 2, 2, -1, -1]
    assert tiles[:4] == [[1, 6], [5, 6], [0, 3], [4, 6]]
    assert all(tile == [6, 6] for tile in tiles[4:])


def test_the_tile_is_the_layers_own(tmp_path: Path) -> None:
    """It is chosen by type and size where nothing was measured; the batch is no argument."""
    tables = TileTables(tmp_path)

    def tile(hidden: int, inter: int) -> Tile:
        return tables.tile(Layer(torch.bfloat16, 64, hidden, inter), "a GPU")

    assert tile(2048, 1024) == tile(512, 4096) == TILES[0]
    assert tile(4096, 14336) == WIDE


def test_measured_tiles_are_kept_by_device(tmp_path: Path) -> None:
    """Another device, size or type has its default; what was measured before stays."""
    first, second = (Layer(torch.bfloat16, 64, 2048, inter) for inter in (1024, 768))
    written = TileTables(tmp_path)
    assert written.tile(first, "NVIDIA H100 80GB HBM3") == TILES[0]
    written.write("NVIDIA H100 80GB HBM3", {first: CANDIDATES[5]}, {})
    path = written.write("NVIDIA H100 80GB HBM3", {second: CANDIDATES[4]}, {"command": "test"})

    for tables in (written, TileTables(tmp_path)):
        assert tables.tile(first, "NVIDIA H100 80GB HBM3") == CANDIDATES[5]
        assert tables.tile(second, "NVIDIA H100 80GB HBM3") == CANDIDATES[4]
        assert tables.tile(first, "NVIDIA A100") == TILES[0]
    assert path.name == "nvidia-h100-80gb-hbm3.json"
    assert json.loads(path.read_text())["origin"] == {"command": "test"}


def test_how_fast_ours_is_is_kept_until_the_tile_changes(tmp_path: Path) -> None:
    """Beside the tiles, and by layer."""
    layer, other = (Layer(torch.bfloat16, 64, 2048, inter) for inter in (1024, 768))
    tables = TileTables(tmp_path)
    assert tables.over_vllm(layer, "H100") is None
    tables.write_over_vllm("H100", {layer: 1.25, other: 0.5})
    tables.write("H100", {other: CANDIDATES[5]}, {})

    assert TileTables(tmp_path).over_vllm(layer, "H100") == 1.25
    assert tables.over_vllm(other, "H100") is None
    assert tables.tile(other, "H100") == CANDIDATES[5]


@pytest.mark.parametrize("text", ["", "[]", '{"tiles": {"a": {"m": 1}}}'])
def test_a_broken_table_is_told_with_its_place(tmp_path: Path, text: str) -> None:
    """Not read as an empty one."""
    tables = TileTables(tmp_path)
    tables.path("a GPU").write_text(text)
    with pytest.raises(SetupError, match=r"a-gpu\.json is not a table of tiles.*delete it"):
        tables.tile(Layer(torch.bfloat16, 1, 16, 16), "a GPU")
