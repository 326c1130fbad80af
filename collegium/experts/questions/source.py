"""Sources of questions: the bank, or a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from collegium.errors import BadRequest
from collegium.experts.questions.adaptive import Cell
from collegium.experts.questions.bank import KINDS, question
from collegium.experts.questions.base import LEVELS, Question


class Source(Protocol):
    """Questions by kind and level, numbered from 0, the same for each expert."""

    @property
    def cells(self) -> Sequence[Cell]: ...

    @property
    def count(self) -> int | None:
        """The number of questions; None if they never end."""

    def get(self, cell: Cell, number: int) -> Question | None:
        """Return the next question; None if there are no more."""


class Bank:
    """The bank's questions, of all kinds or of some."""

    count = None

    def __init__(self, kinds: Sequence[str] = ()) -> None:
        if unknown := [kind for kind in kinds if kind not in KINDS]:
            raise BadRequest(f"there is no kind '{unknown[0]}'; available: {', '.join(KINDS)}")
        self.cells: Sequence[Cell] = [(k, level) for k in kinds or KINDS for level in LEVELS]

    def get(self, cell: Cell, number: int) -> Question | None:
        """Return one of infinitely many."""
        return question(*cell, number)


class Listed:
    """Given questions."""

    def __init__(self, questions: Sequence[Question]) -> None:
        self.count: int | None = len(questions)
        self._by_cell: dict[Cell, list[Question]] = {}
        for each in questions:
            self._by_cell.setdefault((each.kind, each.level), []).append(each)
        self.cells: Sequence[Cell] = list(self._by_cell)

    def get(self, cell: Cell, number: int) -> Question | None:
        """Return them in the given order."""
        listed = self._by_cell[cell]
        return listed[number] if number < len(listed) else None
