"""The two stages of a large job: decide who answers each line of a range, and answer a shard."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import httpx

from collegium.experts.bulk.lines import BadLine, Line, read_line
from collegium.web.batch import results
from collegium.web.batch.large.asking import Service
from collegium.web.batch.large.job import LargeJob, Shard, Span, plan_name
from collegium.web.batch.large.storage import Storage, lines_between

ENDPOINT = "/v1/chat/completions"
BATCH = "batch_large"
"""In the place of a batch's id: a line is known by where it begins in the source."""


def plan_range(job: LargeJob, folder: Storage, service: Service, number: int) -> dict[str, int]:
    """Write the plan of a range, and the errors of lines that nobody can answer."""
    begin, end = job.ranges[number]
    with Storage(job.source).open() as file:
        raw = [(at, line) for at, line in lines_between(file, begin, end) if line.strip()]
    plan: dict[str, list[Span]] = {}
    errors: dict[int, bytes] = {}

    async def route(http: httpx.AsyncClient, item: tuple[int, bytes]) -> None:
        at, data = item
        line = read_line(at, data, ENDPOINT)
        if isinstance(line, BadLine):
            errors[at] = results.encoded(results.bad(BATCH, _by_byte(line)))
            return
        status, told = await service.post(http, "/v1/route", line.body)
        if status == 200:
            plan.setdefault(told["expert"], []).append((at, len(data)))
        else:
            errors[at] = results.encoded(_record(line, status, told))

    asyncio.run(service.each(raw, route))
    ordered = {expert: sorted(spans) for expert, spans in sorted(plan.items())}
    if errors:
        folder.write(f"errors/{plan_name(number)}l", b"".join(v for _, v in sorted(errors.items())))
    folder.write(plan_name(number), json.dumps(ordered).encode())
    return {"planned": sum(map(len, plan.values())), "failed": len(errors)}


def answer_shard(job: LargeJob, folder: Storage, service: Service, shard: Shard) -> dict[str, int]:
    """Answer the lines of a shard and write what came of them."""
    answers: dict[int, bytes] = {}
    errors: dict[int, bytes] = {}

    async def answer(http: httpx.AsyncClient, line: Line) -> None:
        status, told = await service.post(http, ENDPOINT, line.body | {"model": shard.expert})
        into = answers if status == 200 else errors
        into[line.number] = results.encoded(_record(line, status, told))

    asyncio.run(service.each(_lines(job, shard.spans), answer))
    if errors:
        folder.write(f"errors/{shard.name}", b"".join(v for _, v in sorted(errors.items())))
    folder.write(f"output/{shard.name}", b"".join(v for _, v in sorted(answers.items())))
    return {"answered": len(answers), "failed": len(errors)}


def _lines(job: LargeJob, spans: Sequence[Span]) -> list[Line]:
    found = []
    with Storage(job.source).open() as file:
        for at, length in spans:
            file.seek(at)
            line = read_line(at, file.read(length), ENDPOINT)
            assert isinstance(line, Line), "it was valid when it was planned"
            found.append(line)
    return found


def _record(line: Line, status: int, body: Any) -> dict[str, Any]:
    record = results.answered(
        BATCH, line.number, line.custom_id, results.request_id(BATCH, line.number), body
    )
    record["response"]["status_code"] = status
    return record


def _by_byte(line: BadLine) -> BadLine:
    """Lines of a range are not counted; say where the line begins."""
    words = line.message.replace(f"line {line.number}", f"the line at byte {line.number}", 1)
    return BadLine(line.number, line.custom_id, line.code, words)
