"""What goes to a peer and comes back: whole, without pickles, and refused where it does not fit."""

from pathlib import Path

import numpy as np
import pytest

from collegium.errors import PeerFailed
from collegium.evals.peers.exchange import (
    ANSWER,
    ARRAYS,
    Task,
    read_answer,
    read_task,
    write_answer,
    write_task,
)
from collegium.evals.routing.choosing import Choice

TASK = Task(
    "mf",
    3,
    ("one", 'two "2"\n', "三"),
    np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]),
    np.array([[0.0, 1.0, 1.0], [np.nan, 0.5, 1.0], [1.0, np.nan, 1.0]]),
    ("four", "five"),
    np.array([[0.8, 0.6], [1.0, 0.0]]),
)


def test_a_task_comes_through_whole(tmp_path: Path) -> None:
    """Texts in any script, vectors bit by bit, gaps as gaps; and no pickle among it."""
    write_task(TASK, tmp_path)
    read = read_task(tmp_path)
    assert (read.router, read.seed, read.prompts) == (TASK.router, TASK.seed, TASK.prompts)
    assert read.new_prompts == TASK.new_prompts
    for name in ("X", "y", "new_X"):
        np.testing.assert_array_equal(getattr(read, name), getattr(TASK, name))
    with np.load(tmp_path / ARRAYS, allow_pickle=False) as arrays:
        assert {array.dtype.kind for array in arrays.values()} == {"f"}


def test_of_equals_the_model_that_is_better_on_average_is_the_label() -> None:
    """Means are 0.5, 0.75 and 1: the last model comes first, and wins the ties."""
    assert TASK.best_first == [2, 1, 0]
    assert TASK.labels.tolist() == [2, 2, 2]


def test_vectors_are_found_by_text() -> None:
    """Those of prompts to learn from and of new ones."""
    assert TASK.vectors["三"].tolist() == [0.6, 0.8]
    assert TASK.vectors["five"].tolist() == [1.0, 0.0]


@pytest.mark.parametrize("ranking", [None, np.array([[0.1, 0.2, 0.3], [3.0, 2.0, 1.0]])])
def test_an_answer_comes_back(tmp_path: Path, ranking: np.ndarray | None) -> None:
    """With a ranking or without; nothing unfinished is left beside it."""
    write_answer(Choice(np.array([2, 0]), ranking), tmp_path)
    answer = read_answer(tmp_path, TASK, "peer")
    assert answer.chosen.tolist() == [2, 0]
    assert (answer.ranking is None) == (ranking is None)
    assert [file.name for file in tmp_path.iterdir()] == [ANSWER]


@pytest.mark.parametrize(
    ("arrays", "why"),
    [
        ({"chosen": np.array([0])}, r"chose \(1,\) models for 2 prompts"),
        ({"chosen": np.array([0.0, 1.0])}, "chose"),
        ({"chosen": np.array([0, 3])}, "not one of the 3"),
        ({"chosen": np.array([-1, 0])}, "not one of the 3"),
        ({"other": np.array([0, 0])}, "can't be read"),
        ({"chosen": np.array([{}, {}])}, "can't be read"),
        ({"chosen": np.array([0, 1]), "ranking": np.ones((2, 2))}, "ranking"),
        ({"chosen": np.array([0, 1]), "ranking": np.full((2, 3), np.nan)}, "ranking"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused(
    tmp_path: Path, arrays: dict[str, np.ndarray], why: str
) -> None:
    """Too few, foreign or unnumbered models, pickles, rankings with holes."""
    np.savez(tmp_path / ANSWER, **arrays)  # type: ignore[arg-type]
    with pytest.raises(PeerFailed, match=f"the peer odd gave no answer.*{why}"):
        read_answer(tmp_path, TASK, "odd")


def test_an_answer_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    """Half a file, for instance."""
    (tmp_path / ANSWER).write_bytes(b"PK\x03\x04 half")
    with pytest.raises(PeerFailed, match="can't be read"):
        read_answer(tmp_path, TASK, "odd")
