"""Choose the tile for a layer on a GPU: from a table of measurements, or a default.

A tile is the layer's own, whatever the batch: another one sums K in other steps, and a row's bits
would depend on its neighbours. `collegium bench kernels --device cuda --autotune` measures the
candidates and writes the device's table into the cache, and how fast ours is beside vLLM's kernel.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from collegium.errors import SetupError
from collegium.kernels.moe.build import cache_folder


@dataclass(frozen=True)
class Tile:
    """The part that one program computes, with its warps and stages."""

    m: int
    n: int
    k: int
    warps: int = 4
    stages: int = 3


@dataclass(frozen=True)
class Layer:
    """The properties of a layer on which the tile depends; not the batch."""

    dtype: torch.dtype
    experts: int
    hidden: int
    inter: int

    @property
    def key(self) -> str:
        """The key in a table: type, then experts x hidden x inner size."""
        name = str(self.dtype).removeprefix("torch.")
        return f"{name} {self.experts}x{self.hidden}x{self.inter}"


TILES = (Tile(16, 64, 64, stages=4), Tile(64, 64, 64), Tile(64, 128, 64, warps=8))
"""Compiled ahead for sm_80 and sm_90, and the defaults."""
CANDIDATES = (
    *TILES,
    Tile(16, 64, 128, stages=4), Tile(16, 128, 64, stages=4), Tile(16, 128, 128, stages=3),
    Tile(32, 64, 128, stages=3), Tile(32, 128, 64, stages=4), Tile(64, 64, 128, stages=3),
    Tile(64, 128, 64, warps=8, stages=4), Tile(128, 64, 64, warps=8, stages=4),
    Tile(128, 128, 64, warps=8),
)  # fmt: skip
"""Tiles to measure for half-width floats on sm_90, from decoding to prefill."""


def default_tile(layer: Layer) -> Tile:
    """Return the tile for a type and size without measurements."""
    if layer.dtype == torch.float32:
        return Tile(16, 32, 32, warps=4, stages=2)
    return TILES[0] if min(layer.hidden, layer.inter) <= 1024 else TILES[1]


@dataclass(frozen=True)
class Table:
    """What was measured on a device, by the layers' keys."""

    tiles: Mapping[str, Tile] = field(default_factory=dict)
    over_vllm: Mapping[str, float] = field(default_factory=dict)
    """vLLM's time over ours, at the batch size where that is least."""
    origin: Mapping[str, Any] = field(default_factory=dict)


class TileTables:
    """The tables of a folder, one file a device; each is read once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[str, Table] = {}

    def tile(self, layer: Layer, device: str) -> Tile:
        """The measured tile of a layer on a device, or the default one."""
        return self.table(device).tiles.get(layer.key) or default_tile(layer)

    def over_vllm(self, layer: Layer, device: str) -> float | None:
        """How many times as fast as vLLM's kernel ours is at least; None if never measured."""
        return self.table(device).over_vllm.get(layer.key)

    def write(self, device: str, tiles: Mapping[Layer, Tile], origin: Mapping[str, Any]) -> Path:
        """Add measured tiles to a device's table; `origin` says how they were measured.

        What was measured of these layers with other tiles is forgotten.
        """
        known, new = self._table(device), {layer.key: tile for layer, tile in tiles.items()}
        kept = {key: ratio for key, ratio in known.over_vllm.items() if key not in new}
        return self._write(device, Table({**known.tiles, **new}, kept, origin))

    def write_over_vllm(self, device: str, ratios: Mapping[Layer, float]) -> Path:
        """Add to a device's table how fast ours is beside vLLM's kernel."""
        known, new = self._table(device), {layer.key: ratio for layer, ratio in ratios.items()}
        return self._write(device, replace(known, over_vllm={**known.over_vllm, **new}))

    def path(self, device: str) -> Path:
        """The file of a device's table."""
        return self._folder / (re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-") + ".json")

    def table(self, device: str) -> Table:
        """What is known of a device."""
        if device not in self._read:
            self._read[device] = self._table(device)
        return self._read[device]

    def _write(self, device: str, table: Table) -> Path:
        path = self.path(device)
        content = {
            "device": device,
            "tiles": {key: asdict(tile) for key, tile in sorted(table.tiles.items())},
            "over_vllm": dict(sorted(table.over_vllm.items())),
            "origin": dict(table.origin),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=2) + "\n")
        self._read.pop(device, None)
        return path

    def _table(self, device: str) -> Table:
        path = self.path(device)
        if not path.is_file():
            return Table()
        try:
            content = json.loads(path.read_text())
            return Table(
                {key: Tile(**of) for key, of in content["tiles"].items()},
                {key: float(ratio) for key, ratio in content.get("over_vllm", {}).items()},
                content.get("origin", {}),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise SetupError(f"{path} is not a table of tiles ({exc}); delete it") from exc


TABLES = TileTables(cache_folder() / "tiles")
