"""Train step by step with periodic checkpoints, from which an interrupted run resumes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from tqdm import tqdm

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

FOLDER = ".unfinished"
CHECKPOINT_EVERY = 20  # steps
LAST = 20  # steps, whose mean loss is told

Batch = TypeVar("Batch")


@dataclass
class Progress:
    """How far a training run has come."""

    step: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)

    @property
    def loss(self) -> float:
        """The mean of the last steps'."""
        return mean(self.losses[-LAST:])


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


def run(
    checkpoint: Checkpoint,
    batches: Sequence[Batch],
    step: Callable[[Batch, int], float],
    weights: Mapping[str, Tensor],
    optimiser: Optimizer,
) -> Progress:
    """Do the steps that are left, each with its batch and number; `step` returns its loss."""
    import torch

    with torch.no_grad():
        progress = checkpoint.load(weights, optimiser)
    began = monotonic() - progress.seconds
    name = checkpoint.path.stem
    with tqdm(total=len(batches), initial=progress.step, desc=name, unit="step") as bar:
        for batch in batches[progress.step :]:
            progress.losses.append(step(batch, progress.step))
            progress.step += 1
            progress.seconds = monotonic() - began
            bar.set_postfix(loss=f"{progress.loss:.3f}", refresh=False)
            bar.update()
            if progress.step % CHECKPOINT_EVERY == 0:
                checkpoint.save(progress, weights, optimiser)
    return progress


def learn(loss: Tensor, weights: Mapping[str, Tensor], optimiser: Optimizer) -> None:
    """Change the weights by a loss's gradient, whose norm is at most 1."""
    import torch

    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(weights.values(), 1.0)
    optimiser.step()
    optimiser.zero_grad()


def mean(numbers: Sequence[float]) -> float:
    """Of none it is 0."""
    return sum(numbers) / max(1, len(numbers))
