"""Choose the tile for a layer on a GPU: from a table of measurements, or a default.

A tile is the layer's own, whatever the batch: another one sums K in other steps, and a row's bits
would depend on its neighbours. `collegium bench kernels --device cuda --autotune` measures the
candidates and writes the device's table into the cache.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
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


class TileTables:
    """The tables of a folder, one file a device; each is read once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[str, Mapping[str, Tile]] = {}

    def tile(self, layer: Layer, device: str) -> Tile:
        """The measured tile of a layer on a device, or the default one."""
        if device not in self._read:
            self._read[device] = self._tiles(device)
        return self._read[device].get(layer.key) or default_tile(layer)

    def write(self, device: str, tiles: Mapping[Layer, Tile], origin: Mapping[str, Any]) -> Path:
        """Add to a device's table what was measured; `origin` says how."""
        path, merged = self.path(device), {**self._tiles(device)}
        merged |= {layer.key: tile for layer, tile in tiles.items()}
        table = {key: asdict(tile) for key, tile in sorted(merged.items())}
        content = {"device": device, "tiles": table, "origin": dict(origin)}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=2) + "\n")
        self._read.pop(device, None)
        return path

    def path(self, device: str) -> Path:
        """The file of a device's table."""
        return self._folder / (re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-") + ".json")

    def _tiles(self, device: str) -> Mapping[str, Tile]:
        path = self.path(device)
        if not path.is_file():
            return {}
        try:
            return {key: Tile(**of) for key, of in json.loads(path.read_text())["tiles"].items()}
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise SetupError(f"{path} is not a table of tiles ({exc}); delete it") from exc


TABLES = TileTables(cache_folder() / "tiles")
