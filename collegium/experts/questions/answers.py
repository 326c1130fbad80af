"""The answers to questions that were asked, on disk as soon as they are there."""

from __future__ import annotations

import fcntl
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self
from urllib.parse import quote

from collegium.errors import SetupError
from collegium.experts.questions.bank import EDITION
from collegium.private_files import private_folder, private_opener


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
    """Why there is no answer: the expert refused the request, or it does not fit."""


class AnswerLog:
    """A JSONL file a line an answer, for one expert as it is now; a changed one is asked again.

    No answer that was paid for is lost, whenever the program ends.
    """

    def __init__(self, path: Path, fingerprint: str) -> None:
        self.path = path
        self.answers: dict[str, Answered] = {}
        self._stamp = {"edition": EDITION, "fingerprint": fingerprint}

    def __enter__(self) -> Self:
        private_folder(self.path.parent)
        self._file: IO[bytes] = open(self.path, "a+b", opener=private_opener)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            self._file.close()
            raise SetupError(f"another run is writing to '{self.path}'") from exc
        self._file.seek(0)
        for line in self._file:
            self._read(line)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def add(self, answer: Answered) -> None:
        """Keep an answer."""
        self.answers[answer.question] = answer
        self._file.write(json.dumps(self._stamp | asdict(answer)).encode() + b"\n")
        self._file.flush()

    def _read(self, line: bytes) -> None:
        """Lines that are torn, or of another expert or edition, count for nothing."""
        if not line.endswith(b"\n"):
            self._file.truncate(self._file.tell() - len(line))
            return
        try:
            row = json.loads(line)
            stamp = {key: row.pop(key) for key in self._stamp}
            answer = Answered(**row)
        except (ValueError, KeyError, TypeError, AttributeError):
            return
        if stamp == self._stamp:
            self.answers[answer.question] = answer


def profile_path(data_dir: Path, expert: str) -> Path:
    """Where an expert's answers are kept."""
    return data_dir / "profiles" / f"{quote(expert, safe='')}.jsonl"
