"""Online learning beside the service: what ratings teach, kept on disk from time to time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collegium.router.online.learner import Learner

KEEP_EVERY = 20
"""Ratings between two writes: as many may a crash lose."""


class Learning:
    """The learner, from when the router is loaded; without one nothing is learnt."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._learner: Learner | None = None

    def open(self, make: Callable[[Path], Learner]) -> Learner:
        """Begin to learn, from where the last process stopped."""
        self._learner = make(self._folder)
        return self._learner

    def rate(self, decision_id: str, rating: float, source: str) -> None:
        """Let a rating teach."""
        learner = self._learner
        learnt = learner is not None and learner.rate(decision_id, rating, source)
        if learner is not None and learnt and learner.ratings % KEEP_EVERY == 0:
            learner.save(self._folder)

    def forget(self, decision_id: str) -> None:
        """Do not learn from a decision: somebody else than the chosen expert answered."""
        if self._learner is not None:
            self._learner.forget(decision_id)

    def close(self) -> None:
        """Write down what was learnt."""
        if self._learner is not None and self._learner.ratings:
            self._learner.save(self._folder)
