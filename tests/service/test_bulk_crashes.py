"""Bulk jobs whose service is killed: every line is answered exactly once."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest

from tests.running_service import running_service
from tests.service.bulk import (
    ended,
    line,
    register,
    results,
    sdk_of,
    submitted,
    until_answered,
)
from tests.service.upstreams import Upstream, post, until, upstream

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
    # Slow beside the service on any machine: the money must not be gone before the second kill.
    wanted = {"max_tokens": 5, "first_s": 2.0}
    lines = [line(f"row-{n}", f"text {n}", "counting", **wanted) for n in range(160)]
    limits = {"routing": {"max_cost_usd": 180 * ANSWER_USD}}
    batch: Any = None
    with upstream() as server:
        for kills_left in (2, 1, 0):
            with (
                running_service(
                    tmp_path, COLLEGIUM_EMBEDDED="false", COLLEGIUM_BUDGET_FIELDS='["first_s"]'
                ) as service,
                sdk_of(service) as sdk,
            ):
                if batch is None:
                    new = {"name": "counting", "kind": "openai", "base_url": server.url}
                    prices = {"input_price": 0.0, "output_price": 100.0}
                    assert post(service, "/v1/experts", {**new, **prices}).status_code == 201
                    batch = submitted(sdk, lines, extra_body=limits)
                if kills_left:
                    # The upstream counts at once; the service tells later what is answered, and on
                    # a slow machine the money was gone before.
                    goal = answers(server) + rng.randint(5, 30)
                    until(lambda goal=goal: answers(server) >= goal, timeout_s=120)
                    service.process.kill()
                    service.process.wait()
                else:
                    batch = ended(sdk, batch, 120)
                    answered = results(sdk, batch.output_file_id)
                    refused = results(sdk, batch.error_file_id) if batch.error_file_id else []
        asked = {n: c for n, c in server.stats()["asked"].items() if n.startswith("text ")}
    assert sum(asked.values()) >= len(answered) > 0  # more if a kill lost what was billed
    assert sum(asked.values()) * ANSWER_USD <= limits["routing"]["max_cost_usd"]
    codes = {record["response"]["body"]["error"]["code"] for record in refused}
    assert codes <= {"budget_exhausted"}
    told = sorted(record["custom_id"] for record in [*answered, *refused])
    assert told == sorted(f"row-{n}" for n in range(160))
    assert len(answered) >= 180 - 2 * 32  # each kill costs what the lines in flight may have cost


def answers(server: Upstream) -> int:
    """How many lines the upstream has answered."""
    finished = server.stats()["finished"]
    return sum(count for name, count in finished.items() if name.startswith("text "))
