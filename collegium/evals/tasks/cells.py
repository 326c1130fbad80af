"""A log of requested answers, so that an interrupted run resumes."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from collegium.errors import SetupError
from collegium.experts.line_log import LineLog
from collegium.experts.questions.endpoint import Answer


@dataclass(frozen=True, slots=True)
class CellKey:
    """What makes an answer the same answer: the prompt's text, the expert and its fingerprint."""

    prompt: str
    expert: str
    fingerprint: str


def cell_key(prompt: str, expert: str, fingerprint: str) -> CellKey:
    """Name the cell of a prompt and an expert."""
    digest = hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()
    return CellKey(digest[:24], expert, fingerprint)


class CellLog(LineLog):
    """A JSONL file of finished cells, a line each, on disk as soon as it is known.

    The log keeps answers and no marks: a better checker marks old answers anew.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.answers: dict[CellKey, Answer] = {}

    def read(self, line: bytes, where: str) -> None:
        """Take note of an answer; SetupError if the line is none."""
        key, answer = _parse(line, where)
        self.answers[key] = answer

    def add(self, key: CellKey, prompt_id: str, answer: Answer) -> None:
        """Keep a finished cell."""
        self.append({**asdict(key), "prompt_id": prompt_id, **asdict(answer)})
        self.answers[key] = answer


def _parse(line: bytes, where: str) -> tuple[CellKey, Answer]:
    try:
        record: Mapping[str, str] = json.loads(line)
        key = CellKey(record["prompt"], record["expert"], record["fingerprint"])
        answer = Answer(
            record["text"],
            int(record["prompt_tokens"]),
            int(record["completion_tokens"]),
            float(record["latency_s"]),
            float(logprob) if (logprob := record.get("logprob")) is not None else None,
        )
    except (ValueError, KeyError, TypeError) as exc:
        raise SetupError(f"{where}: expected a finished cell: {exc!r}") from exc
    return key, answer
