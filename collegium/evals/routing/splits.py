"""Split prompts into training and test sets."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from collegium.errors import SetupError
from collegium.evals.core.arrays import Bools, Ints

TRAIN_SHARE = 0.7
CROSSED = 5
"""Parts of a set that is judged whole: what learns anew learns from the others."""
MOST_FOLDS = 10
"""More tasks than this are left out several at a time: each still once, in fewer fits."""


@dataclass(frozen=True)
class Fold:
    """Rows to learn from and rows to judge, after what was left out."""

    name: str
    train: Ints
    test: Ints


def given_split(column: Sequence[object] | None) -> Bools | None:
    """Return whether each row is a training row, if a `split` label names both sorts.

    Rows that are neither `train` nor `test`, such as `validation`, are training rows.
    """
    if column is None or not {"train", "test"} <= {str(value) for value in column}:
        return None
    return np.array([str(value) != "test" for value in column], dtype=bool)


def hash_split(originals: Sequence[str], seed: int, *, share: float = TRAIN_SHARE) -> Bools:
    """Return whether each row is a training row, by a hash of its prompt's id.

    A prompt keeps its side whatever else the set holds; paraphrases share their original's.
    """
    return np.array([_fraction(f"{seed}:{name}") < share for name in originals], dtype=bool)


def _fraction(text: str) -> float:
    """Map a text to [0, 1), evenly."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48


def single_fold(may_train: Bools, may_test: Bools) -> list[Fold]:
    """Return the one fold of an ordinary evaluation."""
    return [_checked(Fold("", _rows(may_train), _rows(may_test)))]


def crossed_folds(families: Sequence[str], may_judge: Bools, seed: int) -> list[Fold]:
    """Return folds that judge every prompt once, by what is learnt from other families' prompts."""
    part = np.array([int(CROSSED * _fraction(f"{seed}:{name}")) for name in families])
    folds = [
        Fold(str(number), _rows(may_judge & (part != number)), _rows(may_judge & (part == number)))
        for number in range(CROSSED)
    ]
    found = [fold for fold in folds if fold.train.size and fold.test.size]
    return found or single_fold(may_judge, np.zeros_like(may_judge))


def unlearnt(folds: Sequence[Fold], prompts: Sequence[str]) -> tuple[list[Fold], int]:
    """Judge no prompt whose text its fold learns from; also return how many were dropped."""
    texts = [" ".join(prompt.split()) for prompt in prompts]
    found, dropped = [], 0
    for fold in folds:
        known = {texts[row] for row in fold.train}
        kept = np.array([row for row in fold.test if texts[row] not in known], dtype=np.int64)
        dropped += len(fold.test) - len(kept)
        if kept.size:
            found.append(replace(fold, test=kept))
    if not found:
        raise SetupError("nothing is left to judge: the text of every prompt is also learnt from")
    return found, dropped


def leave_out(
    names: Sequence[str], may_train: Bools, may_test: Bools, *, what: str, seed: int
) -> list[Fold]:
    """Return folds that leave each name (a task, a domain) out of training once.

    A row may be both learnt from and judged, but never in the same fold.
    """
    labels = np.asarray(names)
    unique = sorted(set(names))
    if len(unique) < 2:
        raise SetupError(f"--leave-out {what} needs two of them or more; found {unique}")
    folds = []
    for group in _groups(unique, seed):
        left = np.isin(labels, group)
        if (may_test & left).any():
            fold = Fold(", ".join(group), _rows(may_train & ~left), _rows(may_test & left))
            folds.append(_checked(fold))
    return folds


def _groups(unique: Sequence[str], seed: int) -> list[list[str]]:
    order = np.random.default_rng(seed).permutation(len(unique))
    count = min(MOST_FOLDS, len(unique))
    if count == len(unique):
        return [[name] for name in unique]
    return [sorted(unique[place] for place in order[start::count]) for start in range(count)]


def _checked(fold: Fold) -> Fold:
    if not fold.train.size or not fold.test.size:
        raise SetupError(
            f"a split leaves {fold.train.size} prompts to learn from and {fold.test.size} to "
            "judge; both are needed: give more prompts, label them with `split`, or name two sets "
            "with --train and --test"
        )
    return fold


def _rows(mask: Bools) -> Ints:
    return np.flatnonzero(mask).astype(np.int64)
