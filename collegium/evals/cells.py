"""The log of answers that were asked for: an interrupted run goes on where it stopped."""

import fcntl
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from collegium.errors import SetupError
from collegium.evals.outcomes import Answer
from collegium.registry.expert import Expert
from collegium.registry.presets import digest_of


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


class CellLog:
    """A JSONL file of finished cells, a line each, on disk as soon as it is known.

    The log keeps answers and no marks: a better checker marks old answers anew.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answers: dict[CellKey, Answer] = {}

    def __enter__(self) -> "CellLog":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file: IO[bytes] = self.path.open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._read()
        except BlockingIOError as exc:
            self._file.close()
            raise SetupError(f"another run is writing to '{self.path}'") from exc
        except SetupError:
            self._file.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def add(self, key: CellKey, prompt_id: str, answer: Answer) -> None:
        """Keep a finished cell."""
        record = {**asdict(key), "prompt_id": prompt_id, **asdict(answer)}
        self._file.write(json.dumps(record).encode() + b"\n")
        self._file.flush()
        self.answers[key] = answer

    def _read(self) -> None:
        self._file.seek(0)
        for number, line in enumerate(self._file, start=1):
            if not line.endswith(b"\n"):  # torn: the run was killed while it wrote
                self._file.truncate(self._file.tell() - len(line))
                return
            key, answer = _parse(line, f"{self.path}, line {number}")
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
