"""Measure the detection of out-of-scope queries (CLINC150's protocol).

Larson et al., "An evaluation dataset for intent classification and out-of-scope prediction" (EMNLP
2019). The classifier and the scores are fitted on the split `train`, without any out-of-scope query
(the paper's `oos-threshold`). The threshold comes from one part of the validation queries; all
figures are of others: of `test` and `oos_test` where the file has them, else of the other half of
the validation's, and the other way round.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from collegium.errors import SetupError
from collegium.evals.core.arrays import Floats
from collegium.evals.studies.ood.intents import IntentHead, RelativeDistance
from collegium.router.beliefs.evidence import Evidence
from collegium.router.vectors import Encoder

FILE = "data.jsonl.gz"
OOS = "oos"
STEPS = 3
"""Fits that `measure` makes."""
RECALL = 0.6
MARGIN = 0.1
"""The threshold aims so much above the recall that is asked for: few strange queries set it."""


@dataclass(frozen=True)
class Queries:
    """Texts with their intents; `oos` is out of scope."""

    texts: tuple[str, ...]
    intents: tuple[str, ...]

    def __add__(self, other: Queries) -> Queries:
        return Queries(self.texts + other.texts, self.intents + other.intents)

    def half(self, which: int) -> Queries:
        """Every other query, from the first or the second on."""
        return Queries(self.texts[which::2], self.intents[which::2])

    @property
    def strange(self) -> NDArray[np.bool_]:
        """Which ones are out of scope, shape (n,)."""
        return np.array([intent == OOS for intent in self.intents], dtype=bool)


@dataclass(frozen=True)
class OodReport:
    """What came out; accuracies and recalls are shares from 0 to 1.

    `in_scope_accuracy` is of in-scope queries given their right intent and not rejected: a
    rejected one counts as wrong. `classifier_accuracy` is the same if nothing is rejected.
    """

    in_scope: int
    out_of_scope: int
    auroc: float
    auroc_of: Mapping[str, float]
    classifier_accuracy: float
    in_scope_accuracy: float
    oos_recall: float
    thresholds: tuple[float, ...]
    accuracy_at_recall: Mapping[str, float]
    judged_on: str


def load_clinc(folder: Path) -> dict[str, Queries]:
    """The queries by split; SetupError says what is missing."""
    path = folder / FILE
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
        found = [(str(r["split"]), str(r["text"]), str(r["intent"])) for r in rows]
    except FileNotFoundError as exc:
        raise SetupError(f"{path} is missing; name CLINC150's folder with --data") from exc
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise SetupError(f"{path}: expected lines with text, intent and split: {exc}") from exc
    splits = dict.fromkeys(split for split, _, _ in found)
    parts = {s: [(t, i) for split, t, i in found if split == s] for s in splits}
    if missing := {"train", "val", "oos_val"} - parts.keys():
        raise SetupError(f"{path} lacks the splits {', '.join(sorted(missing))}")
    return {s: Queries(*map(tuple, zip(*rows, strict=True))) for s, rows in parts.items()}


def measure(
    splits: Mapping[str, Queries], encoder: Encoder, *, tick: Callable[[], None] = lambda: None
) -> OodReport:
    """Fit on train, set the threshold on validation, judge on queries that neither saw.

    `tick` is called `STEPS` times, after each fit.
    """
    train = splits["train"]
    X = encoder.encode(train.texts)
    head = IntentHead().fit(X, train.intents, texts=train.texts)
    tick()
    relative = RelativeDistance().fit(X, train.intents)
    tick()
    evidence = Evidence().fit(np.asarray(X, dtype=np.float64))
    tick()
    scores = {
        "relative Mahalanobis": relative.distance,
        "nearest marks (evidence)": evidence.distance,
    }
    judge, tunings, judged_on = _parts(splits)
    vectors, strange = encoder.encode(judge.texts), judge.strange
    right = head.predict(vectors, texts=judge.texts) == np.array(judge.intents)
    distances = {name: score(vectors) for name, score in scores.items()}
    distance = distances["relative Mahalanobis"]
    passed = np.zeros(len(strange), dtype=bool)
    thresholds = []
    for tuning, rows in tunings:
        tuned = scores["relative Mahalanobis"](encoder.encode(tuning.texts))
        thresholds.append(float(np.quantile(tuned[tuning.strange], 1 - RECALL - MARGIN)))
        passed[rows] = distance[rows] <= thresholds[-1]
    return OodReport(
        in_scope=int((~strange).sum()),
        out_of_scope=int(strange.sum()),
        auroc=auroc(distance, strange),
        auroc_of={name: auroc(found, strange) for name, found in distances.items()},
        classifier_accuracy=float(right[~strange].mean()),
        in_scope_accuracy=float((right & passed)[~strange].mean()),
        oos_recall=float((~passed)[strange].mean()),
        thresholds=tuple(thresholds),
        accuracy_at_recall=_curve(distance, right, strange, (0.5, 0.6, 0.7, 0.8, 0.9)),
        judged_on=judged_on,
    )


def _parts(
    splits: Mapping[str, Queries],
) -> tuple[Queries, list[tuple[Queries, NDArray[np.intp]]], str]:
    """Return the detectors, and the rows whose threshold each set of tuning queries gives."""
    inside, outside = splits["val"], splits["oos_val"]
    if "test" in splits and "oos_test" in splits:
        judge = splits["test"] + splits["oos_test"]
        return judge, [(inside + outside, np.arange(len(judge.texts)))], "test and oos_test"
    halves = [inside.half(which) + outside.half(which) for which in (0, 1)]
    first = np.arange(len(halves[0].texts))
    second = np.arange(len(halves[1].texts)) + len(first)
    tunings = [(halves[1], first), (halves[0], second)]
    return halves[0] + halves[1], tunings, "val and oos_val, each half by the other's threshold"


def _curve(
    distance: Floats, right: NDArray[np.bool_], strange: NDArray[np.bool_], recalls: Sequence[float]
) -> dict[str, float]:
    """In-scope accuracy where a threshold would just recall so many of the strange ones."""
    found = {}
    for recall in recalls:
        threshold = np.quantile(distance[strange], 1 - recall)
        found[f"{recall:g}"] = float((right & (distance < threshold))[~strange].mean())
    return found


def auroc(score: Floats, strange: NDArray[np.bool_]) -> float:
    """The chance that a strange query scores above an in-scope one; ties count half."""
    order = np.sort(score[~strange])
    below = np.searchsorted(order, score[strange], side="left")
    not_above = np.searchsorted(order, score[strange], side="right")
    return float(np.mean((below + not_above) / 2) / len(order))
