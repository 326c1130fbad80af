"""Traces of real services: arrival times and lengths of requests.

`azure_llm_2023_*.csv.gz` (Microsoft, CC-BY-4.0): TIMESTAMP,ContextTokens,GeneratedTokens.
`mooncake_*.jsonl.gz` (Moonshot AI, Apache-2.0): timestamp in ms, input_length, output_length.
"""

from __future__ import annotations

import csv
import gzip
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from collegium.errors import SetupError

CHARACTERS_PER_TOKEN = 4  # English, roughly


@dataclass(frozen=True)
class Arrival:
    """One request of a trace: seconds after the first one, and tokens."""

    at_s: float
    prompt_tokens: int
    output_tokens: int


def read_trace(folder: Path, name: str, most: int) -> tuple[Arrival, ...]:
    """The first `most` requests of a trace, by its file's name without the endings."""
    readers = {".csv.gz": _azure, ".jsonl.gz": _mooncake}
    for ending, reader in readers.items():
        path = folder / f"{name}{ending}"
        if path.is_file():
            with gzip.open(path, "rt", encoding="utf-8") as file:
                arrivals = list(itertools.islice(reader(file), most))
            return _from_zero(arrivals)
    known = sorted(p.name.split(".")[0] for p in folder.glob("*.gz"))
    raise SetupError(f"there is no trace '{name}' in {folder}; available: {', '.join(known)}")


def prompt_of(tokens: int, texts: Sequence[str], number: int) -> str:
    """A real text brought to about so many tokens, by cutting or by going on with the next ones."""
    wanted = tokens * CHARACTERS_PER_TOKEN
    said = ""
    for step in range(len(texts)):
        said += texts[(number + step) % len(texts)] + "\n"
        if len(said) >= wanted:
            break
    return said[:wanted].strip() or "Hello"


def _azure(lines: Iterator[str]) -> Iterator[Arrival]:
    for row in csv.DictReader(lines):
        moment = datetime.fromisoformat(row["TIMESTAMP"][:26]).timestamp()
        yield Arrival(moment, int(row["ContextTokens"]), int(row["GeneratedTokens"]))


def _mooncake(lines: Iterator[str]) -> Iterator[Arrival]:
    for line in lines:
        row = json.loads(line)
        seconds = float(row["timestamp"]) / 1000
        yield Arrival(seconds, int(row["input_length"]), int(row["output_length"]))


def _from_zero(arrivals: Sequence[Arrival]) -> tuple[Arrival, ...]:
    first = min((a.at_s for a in arrivals), default=0.0)
    moved = (Arrival(a.at_s - first, a.prompt_tokens, a.output_tokens) for a in arrivals)
    return tuple(sorted(moved, key=lambda a: a.at_s))
