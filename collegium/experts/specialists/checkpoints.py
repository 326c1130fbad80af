"""Unfinished training: saved every few steps, continued after an interrupt."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

FOLDER = ".unfinished"


@dataclass
class Progress:
    """How far a training run has come."""

    step: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)


class Checkpoint:
    """One specialist's unfinished training in a file that git ignores."""

    def __init__(self, out: Path, name: str, recipe: dict[str, Any]) -> None:
        self.path = out / FOLDER / f"{name}.pt"
        self._recipe = recipe

    def save(self, progress: Progress, weights: Mapping[str, Tensor], optimiser: Optimizer) -> None:
        """Write everything that continuing needs, whole or not at all."""
        import torch

        self.path.parent.mkdir(parents=True, exist_ok=True)
        (self.path.parent / ".gitignore").write_text("*\n")
        state = {
            "recipe": self._recipe,
            "progress": vars(progress),
            "weights": dict(weights),
            "optimiser": optimiser.state_dict(),
        }
        scratch = self.path.with_suffix(".tmp")
        torch.save(state, scratch)
        scratch.replace(self.path)

    def load(self, weights: Mapping[str, Tensor], optimiser: Optimizer) -> Progress:
        """Continue where the same recipe stopped; start anew if there is nothing to continue."""
        import torch

        if not self.path.exists():
            return Progress()
        state = torch.load(self.path, weights_only=True)
        if state["recipe"] != self._recipe:
            return Progress()
        for name, tensor in weights.items():
            tensor.copy_(state["weights"][name])
        optimiser.load_state_dict(state["optimiser"])
        return Progress(**state["progress"])

    def remove(self) -> None:
        """Forget the unfinished training, and the folder after its last one."""
        self.path.unlink(missing_ok=True)
        if self.path.parent.is_dir() and not list(self.path.parent.glob("*.pt")):
            shutil.rmtree(self.path.parent)
