"""The measurement of strangeness: on a synthetic set in CLINC150's format, numbers by hand."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from collegium.errors import SetupError
from collegium.evals.studies.ood.study import STEPS, auroc, load_clinc, measure

INTENTS = ("weather", "music", "alarm", "bank")
SPLITS = {"train": 40, "val": 30, "test": 40}


class FirstWord:
    """Each intent's first word has a direction; any other word one of its own."""

    name = "first-word"

    def __init__(self, noise: float = 0.15) -> None:
        self._noise = noise

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One row a text, of unit length and the same for the same text."""
        rows = np.array([self._row(text) for text in texts])
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)

    def _row(self, text: str) -> NDArray[np.float64]:
        rng = np.random.default_rng(zlib.crc32(text.encode()))
        word = text.split()[0]
        at = INTENTS.index(word) if word in INTENTS else 4 + zlib.crc32(word.encode()) % 8
        return np.asarray(np.eye(12)[at] + self._noise * rng.normal(size=12))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four intents; what is out of scope begins with other words."""
    rows = [
        {"text": f"{intent} {split} {i}", "intent": intent, "split": split}
        for split, count in SPLITS.items()
        for intent in INTENTS
        for i in range(count)
    ]
    rows += [
        {"text": f"other{i} {split}", "intent": "oos", "split": split}
        for split in ("oos_val", "oos_test")
        for i in range(30)
    ]
    write(tmp_path, rows)
    return tmp_path


def write(folder: Path, rows: list[dict[str, str]]) -> None:
    """The one file of the format."""
    with gzip.open(folder / "data.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def test_what_is_easy_is_told_apart(folder: Path) -> None:
    """Directions of their own: nearly all strange queries are noticed, hardly a known one lost."""
    ticks: list[int] = []
    report = measure(load_clinc(folder), FirstWord(), tick=lambda: ticks.append(1))
    assert len(ticks) == STEPS
    assert (report.in_scope, report.out_of_scope) == (160, 30)
    assert report.judged_on == "test and oos_test"
    assert report.auroc > 0.99
    assert report.classifier_accuracy > 0.99
    assert report.in_scope_accuracy > 0.95
    assert report.oos_recall >= 0.6


def test_an_encoder_that_knows_nothing_is_found_out(folder: Path) -> None:
    """Noise alone gives chance, so that good figures mean something."""
    report = measure(load_clinc(folder), FirstWord(noise=100.0))
    assert 0.3 < report.auroc < 0.7
    assert report.in_scope_accuracy < 0.8


def test_a_rejected_query_counts_as_wrong(folder: Path) -> None:
    """Rejecting more can't raise the in-scope accuracy."""
    report = measure(load_clinc(folder), FirstWord(noise=0.5))
    found = list(report.accuracy_at_recall.values())
    assert found == sorted(found, reverse=True)
    assert report.in_scope_accuracy <= report.classifier_accuracy


def test_without_a_test_split_each_half_is_judged_by_the_other(folder: Path) -> None:
    """All validation queries judge, none sets its own threshold."""
    splits = {k: q for k, q in load_clinc(folder).items() if "test" not in k}
    report = measure(splits, FirstWord())
    assert (report.in_scope, report.out_of_scope, len(report.thresholds)) == (120, 30, 2)
    assert report.auroc > 0.99


def test_the_auroc_is_the_share_of_pairs_in_order() -> None:
    """Counted by hand: of 2 times 3 pairs, four in order and one tied."""
    score = np.array([0.1, 0.5, 0.9, 0.5, 0.95])
    strange = np.array([False, False, False, True, True])
    assert auroc(score, strange) == pytest.approx((1 + 0.5 + 3) / 6)


def test_a_missing_or_garbled_file_is_told(tmp_path: Path) -> None:
    """Which, and how it is given."""
    with pytest.raises(SetupError, match="--data"):
        load_clinc(tmp_path)
    write(tmp_path, [{"text": "hello", "intent": "greeting", "split": "train"}])
    with pytest.raises(SetupError, match="lacks the splits oos_val, val"):
        load_clinc(tmp_path)
    write(tmp_path, [{"text": "hello"}])
    with pytest.raises(SetupError, match="expected lines with text, intent and split"):
        load_clinc(tmp_path)
