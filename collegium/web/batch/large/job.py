"""A large job's folder: what it is, its plan by range of the source, its answers by shard.

job.json                    the source and how it is cut; a job goes on only as it began
plan/RANGE.json             by expert, where the lines are that it answers
output/EXPERT/SHARD.jsonl   answers; a shard that has this file is done
errors/EXPERT/SHARD.jsonl   lines that were refused, written before the answers
errors/plan/RANGE.jsonl     lines that nobody can answer
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import zip_longest
from urllib.parse import quote

from collegium.errors import BadRequest
from collegium.web.batch.large.storage import Storage

Span = tuple[int, int]
"""Where a line begins, and its length."""


@dataclass(frozen=True)
class LargeJob:
    """A file of requests, and how it is cut."""

    source: str
    size: int
    range_bytes: int
    shard_lines: int

    @property
    def ranges(self) -> list[Span]:
        """The parts of the source that are planned one by one: begin and end."""
        step = self.range_bytes
        return [(at, min(at + step, self.size)) for at in range(0, self.size, step)]


@dataclass(frozen=True)
class Shard:
    """Lines of one expert, which are answered together."""

    expert: str
    number: int
    spans: tuple[Span, ...]

    @property
    def name(self) -> str:
        """Its file, below `output` and `errors`."""
        return f"{quote(self.expert, safe='')}/{self.number:06}.jsonl"


def opened(source: Storage, folder: Storage, *, range_bytes: int, shard_lines: int) -> LargeJob:
    """Begin a job, or go on with the one in the folder; BadRequest if that is another one."""
    size = source.size()
    known = folder.read("job.json")
    if known is None:
        job = LargeJob(source.url, size, range_bytes, shard_lines)
        folder.write("job.json", json.dumps(asdict(job)).encode())
        return job
    job = LargeJob(**json.loads(known))
    if (job.source, job.size) != (source.url, size):
        raise BadRequest(
            f"{folder.url} has the job of {job.source} ({job.size} bytes), not of {source.url} "
            f"({size} bytes): choose another folder",
            "folder",
        )
    return job


def plan_name(number: int) -> str:
    """The file of a range's plan."""
    return f"plan/{number:06}.json"


def planned(folder: Storage, job: LargeJob) -> dict[str, list[Span]]:
    """By expert, where the lines are that it answers, in the order of the source."""
    found: dict[str, list[Span]] = {}
    for number in range(len(job.ranges)):
        data = folder.read(plan_name(number))
        assert data is not None, "every range is planned first"
        for expert, spans in json.loads(data).items():
            found.setdefault(expert, []).extend((at, length) for at, length in spans)
    return found


def shards(plan: Mapping[str, list[Span]], lines: int) -> Iterator[Shard]:
    """Shards of each expert, taken in turns, so that all engines have work to the end."""
    by_expert = (
        [Shard(name, n, tuple(s)) for n, s in enumerate(_cut(spans, lines))]
        for name, spans in sorted(plan.items())
    )
    for row in zip_longest(*by_expert):
        yield from (shard for shard in row if shard is not None)


def _cut(spans: list[Span], lines: int) -> list[list[Span]]:
    return [spans[at : at + lines] for at in range(0, len(spans), lines)]
