"""Correct noisy marks by those that people confirmed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from collegium.experts.marking.error_rates import Confirmed, ErrorRates
from collegium.registry.learning.runs import Evidence, Mark, MarkSource
from collegium.router.learning.prediction_powered import Marked, Measured, measured

NOISY: tuple[MarkSource, ...] = ("judge", "agreement")
TRUE: tuple[MarkSource, ...] = ("confirmed", "checker")
FEWEST_CONFIRMED = 20
"""With fewer confirmed marks, a judge's bias can't be detected."""
Cell = tuple[str, int, str]


@dataclass(frozen=True)
class Corrections:
    """Evidence with corrected marks, whether it supports a promise, and each source's errors."""

    evidence: Evidence
    confirmed: bool
    sources: Mapping[str, Mapping[str, float | int | bool]]
    measured: Mapping[str, Measured]
    """Each expert's quality by a judge's marks and confirmed ones, by the expert's fingerprint."""


def corrected(evidence: Evidence) -> Corrections:
    """Correct the marks of each source that errs by its error rates on confirmed answers.

    A mark of reliability 1 stays: in a comparison with the incumbent, the incumbent's own mark is
    exact. Marks of a source that turns out to tell nothing are left out; of a source that nobody
    checked they stay as they are; evidence that rests on them by half supports no promise.
    """
    true = {_cell(mark): mark.score for mark in evidence.marks if mark.source in TRUE}
    told: dict[str, Mapping[str, float | int | bool]] = {}
    marks = [mark for mark in evidence.marks if mark.source not in NOISY]
    unchecked = 0
    for source in NOISY:
        own = [mark for mark in evidence.marks if mark.source == source]
        unsure = [mark for mark in own if mark.reliability < 1]
        pairs = [
            Confirmed(f"{m.run_id} {m.number}", m.expert, m.score, true[_cell(m)])
            for m in unsure
            if _cell(m) in true
        ]
        if len(pairs) < FEWEST_CONFIRMED:
            marks += own
            unchecked += len(own)
            if own:
                told[source] = {"marks": len(own), "confirmed": len(pairs), "useful": False}
            continue
        rates = ErrorRates(pairs)
        marks += [m for m in own if m.reliability >= 1]
        marks += [fixed for m in unsure if (fixed := _fixed(m, rates)) is not None]
        told[source] = {
            "marks": len(own),
            "confirmed": len(pairs),
            "useful": rates.pooled.useful,
            "sensitivity": round(rates.pooled.sensitivity, 3),
            "specificity": round(rates.pooled.specificity, 3),
            "contrast_sd": round(rates.contrast_sd, 4),
        }
    supported = 2 * unchecked < len(marks)
    better = replace(evidence, marks=tuple(marks))
    return Corrections(better, supported, told, _measured(evidence, true))


def _measured(evidence: Evidence, true: Mapping[Cell, float]) -> Mapping[str, Measured]:
    """Measure each expert by a judge's marks; what agreement finds is no independent mark."""
    asked = {(a.run_id, a.number, a.expert): a.fingerprint for a in evidence.answers}
    return measured(
        Marked(asked[cell], mark.score, true.get(cell))
        for mark in evidence.marks
        if mark.source == "judge" and mark.reliability < 1 and (cell := _cell(mark)) in asked
    )


def _cell(mark: Mark) -> Cell:
    return mark.run_id, mark.number, mark.expert


def _fixed(mark: Mark, rates: ErrorRates) -> Mark | None:
    found = rates.corrected(mark.expert, mark.score)
    if found is None:
        return None
    return replace(mark, score=found.contrast, reliability=found.reliability)
