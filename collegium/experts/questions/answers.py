"""Answers to questions, stored as soon as they arrive."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from collegium.experts.line_log import LineLog
from collegium.experts.questions.bank import EDITION
from collegium.registry.expert import Expert
from collegium.registry.presets import digest_of


@dataclass(frozen=True)
class Answered:
    """An expert's answer to a question, as it was marked."""

    question: str
    kind: str
    level: int
    mark: float | None
    message: dict[str, Any]
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = None
    note: str = ""
    """Why there is no answer: the expert refused the request, or it doesn't fit."""


class AnswerLog(LineLog):
    """A JSONL file a line an answer, for one expert as it is now; a changed one is asked again.

    No answer that was paid for is lost, whenever the program ends.
    """

    def __init__(self, path: Path, fingerprint: str) -> None:
        super().__init__(path)
        self.answers: dict[str, Answered] = {}
        self._stamp = {"edition": EDITION, "fingerprint": fingerprint}

    def add(self, answer: Answered) -> None:
        """Keep an answer."""
        self.answers[answer.question] = answer
        self.append(self._stamp | asdict(answer))

    def read(self, line: bytes, where: str) -> None:
        """Ignore lines of another expert or edition, and anything else."""
        try:
            row = json.loads(line)
            stamp = {key: row.pop(key) for key in self._stamp}
            answer = Answered(**row)
        except (ValueError, KeyError, TypeError, AttributeError):
            return
        if stamp == self._stamp:
            self.answers[answer.question] = answer


def fingerprint(expert: Expert, *, weights: Path | None = None, max_tokens: int = 128) -> str:
    """Name all that decides an expert's greedy answers, so that a changed expert is asked again.

    An engine's address is left out: it has another port every time.
    """
    address = expert.base_url if expert.engine is None else None
    parts = [expert.kind, expert.model, str(address), str(expert.adapter), str(max_tokens)]
    if expert.preset is not None:
        parts.append(digest_of(expert.preset))
    digest = hashlib.sha256(json.dumps(parts).encode())
    for path in sorted(weights.rglob("*")) if weights else ():
        if path.is_file():
            digest.update(path.relative_to(weights or path).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def profile_path(data_dir: Path, expert: str) -> Path:
    """Return the path of an expert's answers."""
    return data_dir / "profiles" / f"{quote(expert, safe='')}.jsonl"
