"""Bulk jobs whose service or engine is killed: every line is answered exactly once."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.running_service import RunningService, running_service
from tests.service.bulk import counted, ended, line, register, results, sdk_of, submitted
from tests.service.upstreams import post, upstream

pytestmark = pytest.mark.slow


def test_kill_9_loses_and_repeats_no_finished_line(tmp_path: Path, echo_url: str) -> None:
    """Killed at random moments until it is done: every line exactly once, by its number and id."""
    rng = random.Random(1)
    lines = [line(f"row-{n}", f"text {n}") for n in range(400)]
    lines[7] = "{nonsense"
    batch: Any = None
    for kills_left in (3, 2, 1, 0):
        with (
            running_service(tmp_path, COLLEGIUM_EMBEDDED="false") as service,
            sdk_of(service) as sdk,
        ):
            if batch is None:
                register(service, echo_url)
                batch = submitted(sdk, lines)
            if kills_left:
                until_answered(sdk, batch, rng.randint(0, 100))
                time.sleep(rng.uniform(0, 0.3))
                service.process.kill()
                service.process.wait()
            else:
                batch = ended(sdk, batch, 120)
                found = results(sdk, batch.output_file_id)
                errors = results(sdk, batch.error_file_id)
    assert batch.status == "completed"
    assert sorted(r["custom_id"] for r in found) == sorted(f"row-{n}" for n in range(400) if n != 7)
    assert len({r["id"] for r in found}) == 399
    assert [r["error"]["code"] for r in errors] == ["invalid_json_line"]
    for record in found:
        said = record["response"]["body"]["choices"][0]["message"]["content"]
        assert said == f"Echo: text {record['custom_id'].removeprefix('row-')}"


ANSWER_USD = 0.0005
"""The counting upstream's five tokens, at 100 dollars a million."""


def test_kill_9_does_not_make_a_job_exceed_its_budget(tmp_path: Path) -> None:
    """By what the upstream was asked, lines in flight too: it bills for those as well."""
    rng = random.Random(2)
    wanted = {"max_tokens": 5, "first_s": 0.2}
    lines = [line(f"row-{n}", f"text {n}", "counting", **wanted) for n in range(160)]
    limits = {"routing": {"max_cost_usd": 230 * ANSWER_USD}}
    batch: Any = None
    with upstream() as server:
        for kills_left in (2, 1, 0):
            with (
                running_service(tmp_path, COLLEGIUM_EMBEDDED="false") as service,
                sdk_of(service) as sdk,
            ):
                if batch is None:
                    new = {"name": "counting", "kind": "openai", "base_url": server.url}
                    prices = {"input_price": 0.0, "output_price": 100.0}
                    assert post(service, "/v1/experts", {**new, **prices}).status_code == 201
                    batch = submitted(sdk, lines, extra_body=limits)
                if kills_left:
                    until_answered(sdk, batch, rng.randint(5, 40), of=160)
                    service.process.kill()
                    service.process.wait()
                else:
                    batch = ended(sdk, batch, 120)
                    answered = results(sdk, batch.output_file_id)
                    refused = results(sdk, batch.error_file_id) if batch.error_file_id else []
        asked = {n: c for n, c in server.stats()["asked"].items() if n.startswith("text ")}
    assert sum(asked.values()) > len(answered)  # some were killed after they had been billed
    assert sum(asked.values()) * ANSWER_USD <= limits["routing"]["max_cost_usd"]
    codes = {record["response"]["body"]["error"]["code"] for record in refused}
    assert codes <= {"budget_exhausted"}
    told = sorted(record["custom_id"] for record in [*answered, *refused])
    assert told == sorted(f"row-{n}" for n in range(160))
    assert len(answered) > 30  # for each line in flight up to six answers were reserved


def until_answered(sdk: openai.OpenAI, batch: Any, more: int, of: int = 400) -> None:
    """Return when so many more lines are answered than when this began, or nearly all."""
    goal = min(counted(sdk, batch).completed + more, of - 10)
    deadline = time.monotonic() + 120
    while counted(sdk, batch).completed < goal:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_job_goes_on_when_its_engine_is_killed(crashable_service: RunningService) -> None:
    """On the real engine: killed in the middle of a batch, every line is answered once."""
    lines = [line(f"row-{n}", f"Say the number {n}.", "smollm2", max_tokens=24) for n in range(60)]
    with sdk_of(crashable_service) as sdk:
        batch = submitted(sdk, lines)
        until_answered(sdk, batch, 1)
        crashable_service.kill_engine()
        batch = ended(sdk, batch, 400)
        assert (batch.status, batch.request_counts.completed) == ("completed", 60)
        found = results(sdk, batch.output_file_id)
    assert len({r["custom_id"] for r in found}) == len(found) == 60
    assert {r["response"]["body"]["model"] for r in found} == {"smollm2"}
