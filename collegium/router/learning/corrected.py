"""Correct noisy marks by those that people confirmed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
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
    confirmed_of: Mapping[str, int]
    """Confirmed marks of each judged expert, by fingerprint: those of the judge with most."""


def corrected(evidence: Evidence, judges: Mapping[str, str] | None = None) -> Corrections:
    """Correct the marks of each source that errs by its error rates on confirmed answers.

    `judges` names the judge of each run that had one: each judge has error rates of its own.
    A mark of reliability 1 stays: in a comparison with the incumbent, the incumbent's own mark is
    exact, and so is that of an answer that never came. Marks of a source that turns out to tell
    nothing are left out; of a source that nobody checked they stay as they are; evidence that rests
    on them by half supports no promise.
    """
    true = {_cell(mark): mark.score for mark in evidence.marks if mark.source in TRUE}
    told: dict[str, Mapping[str, float | int | bool]] = {}
    marks = [mark for mark in evidence.marks if mark.source not in NOISY]
    erring = _by_source(evidence.marks, judges or {})
    unchecked = 0
    for source, own in erring.items():
        unsure = [mark for mark in own if mark.reliability < 1]
        pairs = [
            Confirmed(f"{m.run_id} {m.number}", m.expert, m.score, true[_cell(m)])
            for m in unsure
            if _cell(m) in true
        ]
        if len(pairs) < FEWEST_CONFIRMED:
            marks += own
            unchecked += len(own)
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
    by_judge = [own for own in erring.values() if own[0].source == "judge"]
    return Corrections(better, supported, told, *_measured(evidence, true, by_judge))


def _by_source(marks: Iterable[Mark], judges: Mapping[str, str]) -> dict[str, list[Mark]]:
    """The marks of each judge, as "judge NAME (METHOD)", and those by agreement."""
    found: dict[str, list[Mark]] = defaultdict(list)
    for mark in marks:
        if mark.source == "judge" and (name := judges.get(mark.run_id)):
            found[f"judge {name}"].append(mark)
        elif mark.source in NOISY:
            found[mark.source].append(mark)
    return found


def _measured(
    evidence: Evidence, true: Mapping[Cell, float], by_judge: Iterable[Sequence[Mark]]
) -> tuple[dict[str, Measured], dict[str, int]]:
    """Measure each expert by the judge with most confirmed marks of it, and count these marks.

    What agreement finds is no independent mark.
    """
    found: dict[str, Measured] = {}
    confirmed: dict[str, int] = {}
    for own in by_judge:
        marks, came = _answers_judged(evidence, true, own)
        for name, rows in marks.items():
            count = sum(row.true is not None for row in rows)
            confirmed[name] = max(confirmed.get(name, 0), count)
        by_expert = measured(row for rows in marks.values() for row in rows)
        for name, each in by_expert.items():
            if name not in found or found[name].confirmed < each.confirmed:
                found[name] = each.of_all(came[name])
    return found, confirmed


def _answers_judged(
    evidence: Evidence, true: Mapping[Cell, float], own: Iterable[Mark]
) -> tuple[dict[str, list[Marked]], dict[str, float]]:
    """One judge's marks by expert, each request once, and the share of answers that came."""
    digests = {(p.run_id, p.number): p.digest for p in evidence.prompts}
    answers = {(a.run_id, a.number, a.expert): a for a in evidence.answers}
    rows: dict[str, dict[str, Marked]] = defaultdict(dict)
    failed: dict[str, set[str]] = defaultdict(set)
    for mark in own:
        cell = _cell(mark)
        answer, digest = answers.get(cell), digests.get(cell[:2])
        if answer is None or digest is None:
            continue
        name = answer.fingerprint
        if answer.answer is None:
            failed[name].add(digest)
        elif mark.reliability < 1:
            before = rows[name].get(digest)
            if before is None or before.true is None:
                rows[name][digest] = Marked(name, mark.score, true.get(cell))
    came = {n: len(each) / (len(each) + len(failed[n] - each.keys())) for n, each in rows.items()}
    return {name: list(each.values()) for name, each in rows.items()}, came


def _cell(mark: Mark) -> Cell:
    return mark.run_id, mark.number, mark.expert


def _fixed(mark: Mark, rates: ErrorRates) -> Mark | None:
    found = rates.corrected(mark.expert, mark.score)
    if found is None:
        return None
    return replace(mark, score=found.contrast, reliability=found.reliability)
