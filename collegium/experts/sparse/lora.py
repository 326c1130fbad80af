"""LoRA adapters as plain matrices, by layer and projection."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from collegium.experts.specialists import ADAPTERS, SPECIALISTS

if TYPE_CHECKING:
    from torch import Tensor

ATTENTION = ("q_proj", "v_proj")


@dataclass(frozen=True)
class Change:
    """An adapter's change of one matrix: `up @ down`, already scaled.

    down (rank, in), up (out, rank), float32.
    """

    down: Tensor
    up: Tensor

    def product(self) -> Tensor:
        """The whole change, (out, in)."""
        return self.up @ self.down


class Adapter:
    """One specialist's adapter, read from PEFT's files."""

    def __init__(self, folder: Path) -> None:
        from safetensors.torch import load_file

        config = json.loads((folder / "adapter_config.json").read_text())
        self._scale = config["lora_alpha"] / config["r"]
        self._weights = load_file(folder / "adapter_model.safetensors")

    def change(self, layer: int, projection: str) -> Change:
        """Return its change of a layer's projection."""
        block = "self_attn" if projection in ATTENTION else "mlp"
        name = f"base_model.model.model.layers.{layer}.{block}.{projection}"
        down = self._weights[f"{name}.lora_A.weight"].float()
        up = self._weights[f"{name}.lora_B.weight"].float()
        return Change(down, self._scale * up)


def builtin_adapters() -> list[Adapter]:
    """The embedded specialists' adapters, in the order of `SPECIALISTS`."""
    return [Adapter(ADAPTERS / name) for name in SPECIALISTS]


def mean_change(adapters: list[Adapter], layer: int, projection: str) -> Tensor:
    """The adapters' mean change of one matrix, (out, in)."""
    import torch

    changes = [adapter.change(layer, projection).product() for adapter in adapters]
    return torch.stack(changes).mean(dim=0)
