"""Data exchanged with a peer's process: arrays as .npz without pickles, texts as JSON.

Both sides use this file, so it imports nothing that is not light.
"""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from collegium.errors import PeerFailed
from collegium.evals.core.arrays import Floats, Ints
from collegium.evals.routing.choosing import Choice

TEXTS, ARRAYS, ANSWER = "task.json", "task.npz", "answer.npz"


@dataclass(frozen=True)
class Task:
    """Prompts to learn from with vectors (n, d) and scores (n, e), and prompts to route."""

    router: str
    """Which of the peer's routers is asked."""
    seed: int
    prompts: tuple[str, ...]
    X: Floats
    y: Floats
    """In [0, 1]; NaN if unmeasured."""
    new_prompts: tuple[str, ...]
    new_X: Floats

    @property
    def best_first(self) -> list[int]:
        """Models from the best on average to the worst.

        A peer that labels a prompt with its first best model then takes the better one of equals.
        """
        known = np.isfinite(self.y)
        means = np.where(known, self.y, 0).sum(axis=0) / np.maximum(1, known.sum(axis=0))
        return [int(model) for model in np.argsort(-means, kind="stable")]

    @property
    def labels(self) -> Ints:
        """The best measured model of each training prompt, shape (n,); of equals `best_first`'s."""
        order = np.array(self.best_first)
        scores = np.where(np.isfinite(self.y), self.y, -np.inf)[:, order]
        return np.asarray(order[scores.argmax(axis=1)], dtype=np.int64)

    @property
    def vectors(self) -> dict[str, Floats]:
        """Each text's vector: what stands in for the peer's own call to a hub or an API."""
        learnt = zip(self.prompts, self.X, strict=True)
        return dict(learnt) | dict(zip(self.new_prompts, self.new_X, strict=True))


def write_task(task: Task, folder: Path) -> None:
    """Lay a task into a folder."""
    texts = {
        "router": task.router,
        "seed": task.seed,
        "prompts": task.prompts,
        "new_prompts": task.new_prompts,
    }
    (folder / TEXTS).write_text(json.dumps(texts), encoding="utf-8")
    np.savez(folder / ARRAYS, X=task.X, y=task.y, new_X=task.new_X)


def read_task(folder: Path) -> Task:
    """Read what `write_task` laid there."""
    texts = json.loads((folder / TEXTS).read_text(encoding="utf-8"))
    with np.load(folder / ARRAYS, allow_pickle=False) as arrays:
        return Task(
            texts["router"],
            texts["seed"],
            tuple(texts["prompts"]),
            arrays["X"],
            arrays["y"],
            tuple(texts["new_prompts"]),
            arrays["new_X"],
        )


def serve(choose: Callable[[Task, Path], Choice]) -> None:
    """Answer the tasks whose folders are named on standard input, until it ends.

    What goes wrong ends the process: its last words are the reason that people are told.
    """
    for line in sys.stdin:
        folder = Path(line.rstrip("\n"))
        write_answer(choose(read_task(folder), folder), folder)


def write_answer(answer: Choice, folder: Path) -> None:
    """Lay the choices into the task's folder, all at once."""
    unfinished, chosen = folder / f"new-{ANSWER}", np.asarray(answer.chosen, dtype=np.int64)
    if answer.ranking is None:
        np.savez(unfinished, chosen=chosen)
    else:
        np.savez(unfinished, chosen=chosen, ranking=answer.ranking)
    unfinished.replace(folder / ANSWER)


def read_answer(folder: Path, task: Task, peer: str) -> Choice:
    """Read the choices; what does not fit the task is a PeerFailed."""
    try:
        with (
            (folder / ANSWER).open("rb") as file,
            np.load(file, allow_pickle=False) as arrays,
        ):
            answer = Choice(arrays["chosen"], arrays.get("ranking"))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as exc:
        raise PeerFailed(peer, f"its answer can't be read ({exc})") from exc
    prompts, models = len(task.new_prompts), task.y.shape[1]
    chosen, ranking = answer.chosen, answer.ranking
    if chosen.shape != (prompts,) or not np.issubdtype(chosen.dtype, np.integer):
        raise PeerFailed(peer, f"it chose {chosen.shape} models for {prompts} prompts")
    if not ((chosen >= 0) & (chosen < models)).all():
        raise PeerFailed(peer, f"it chose a model that is not one of the {models}")
    if ranking is not None and not (
        ranking.shape == (prompts, models) and np.isfinite(ranking).all()
    ):
        raise PeerFailed(peer, "its ranking is not a finite number for each prompt and model")
    return answer
