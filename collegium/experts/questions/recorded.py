"""The marks of all profiles as one table: what a router may learn of a newcomer and the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from collegium.experts.questions.answers import AnswerLog
from collegium.experts.questions.bank import KINDS, question
from collegium.experts.questions.base import Question


@dataclass(frozen=True)
class Recorded:
    """One of the bank's questions with the marks of the experts that were asked it."""

    question: Question
    marks: Mapping[str, float]


def profile_path(data_dir: Path, expert: str) -> Path:
    """Where an expert's answers are kept."""
    return data_dir / "profiles" / f"{quote(expert, safe='')}.jsonl"


def recorded(data_dir: Path, fingerprints: Mapping[str, str]) -> Sequence[Recorded]:
    """The marks of experts, by the questions that any of them was asked.

    `fingerprints` (by name) say which answers are those of the experts as they are now. Questions
    of files are left out: only the bank's can be made again from their names.
    """
    marks: dict[str, dict[str, float]] = {}
    for expert, fingerprint in fingerprints.items():
        path = profile_path(data_dir, expert)
        if not path.exists():
            continue
        with AnswerLog(path, fingerprint) as log:
            for answer in log.answers.values():
                if answer.mark is not None:
                    marks.setdefault(answer.question, {})[expert] = answer.mark
    found = ((_of_bank(name), by_expert) for name, by_expert in sorted(marks.items()))
    return [Recorded(asked, by_expert) for asked, by_expert in found if asked is not None]


def _of_bank(name: str) -> Question | None:
    kind, _, place = name.partition("-")
    level, _, number = place.partition("-")
    if kind not in KINDS or level not in ("1", "2", "3") or not number.isdecimal():
        return None
    return question(kind, int(level), int(number))
