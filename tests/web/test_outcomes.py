"""One outcome accounts for every way out exactly once: the record, the metrics, the price."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from collegium.errors import ExpertError, ExpertRejected
from collegium.registry.decisions.log import OutcomeRecord
from tests.web.callers import calling, until_idle
from tests.web.conftest import Web, until
from tests.web.fakes import PRICES

QUESTION = {"messages": [{"role": "user", "content": "sql 1"}], "model": "sql"}
VOTE = {**QUESTION, "model": "collegium/vote", "routing": {"k": 2}}
MOA = {**QUESTION, "model": "collegium/moa", "routing": {"k": 2, "panel": {"aggregator": "lists"}}}
DOWN = ExpertError("sql", "is broken")
BUG = ZeroDivisionError("of an expert's client")


@dataclass(frozen=True)
class Way:
    """How an answer ends: what is asked, what the experts do, when the caller leaves."""

    status: str
    body: Mapping[str, Any] = field(default_factory=lambda: QUESTION)
    scripts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What is special about each expert."""
    leaves: Callable[[Web, str], object] | None = None
    """Given what the caller has heard: whether it leaves now."""
    error: str | None = None
    """Part of the recorded error."""


def both_asked(web: Web, heard: str) -> bool:
    return bool(web.experts["sql"].asked and web.experts["general"].asked)


def everybody(**script: Any) -> dict[str, dict[str, Any]]:
    return {name: script for name in PRICES}


WAYS = {
    "ok": Way("ok"),
    "ok without usage": Way("ok", scripts={"sql": {"usage": None}}),
    "error before it begins": Way("error", scripts={"sql": {"refuses": DOWN}}, error="is broken"),
    "refused": Way("error", scripts={"sql": {"refuses": ExpertRejected("sql", "no")}}, error="no"),
    "error in the middle": Way("error", scripts={"sql": {"dies": DOWN}}, error="is broken"),
    "bug before it begins": Way(
        "error", scripts={"sql": {"refuses": BUG}}, error="ZeroDivisionError"
    ),
    "bug in the middle": Way("error", scripts={"sql": {"dies": BUG}}, error="ZeroDivisionError"),
    "left before it begins": Way(
        "cancelled",
        scripts={"sql": {"waits": True}},
        leaves=lambda web, heard: web.experts["sql"].asked,
    ),
    "left in the middle": Way(
        "cancelled",
        scripts={"sql": {"pauses": True}},
        leaves=lambda web, heard: "hello" in heard,
    ),
    "another answers": Way(
        "ok",
        {**QUESTION, "routing": {"failover": True}},
        {"sql": {"refuses": DOWN}},
    ),
    "nobody answers": Way(
        "error",
        {**QUESTION, "routing": {"failover": True}},
        everybody(refuses=DOWN),
        error="is broken",
    ),
    "panel ok": Way("ok", VOTE),
    "panel with a member that fails": Way("ok", VOTE, {"sql": {"refuses": DOWN}}),
    "panel of which nobody answers": Way("error", VOTE, everybody(dies=DOWN), error="is broken"),
    "panel without a quorum": Way(
        "error",
        {**VOTE, "routing": {"k": 2, "panel": {"quorum": 2}}},
        {"general": {"dies": DOWN}},
        error="only 1 of 2 required answers",
    ),
    "panel with a bug": Way("error", VOTE, {"sql": {"refuses": BUG}}, error="ZeroDivisionError"),
    "panel left": Way("cancelled", VOTE, everybody(pauses=True), both_asked),
    "panel whose aggregator dies": Way("error", MOA, {"lists": {"dies": DOWN}}, error="is broken"),
    "panel whose aggregator is down": Way("ok", MOA, {"lists": {"refuses": DOWN}}),
}
WHOLE = [name for name in WAYS if "in the middle" not in name]  # a whole answer has no middle
CASES = [*((name, False) for name in WHOLE), *((name, True) for name in WAYS)]


@pytest.mark.parametrize(
    ("name", "stream"), CASES, ids=lambda v: v if isinstance(v, str) else {0: "whole"}.get(v, "sse")
)
async def test_every_way_out_is_accounted_for_once(
    web: Web, monkeypatch: pytest.MonkeyPatch, name: str, stream: bool
) -> None:
    """One record, one count; tokens and dollars are the same in record, calls and metrics."""
    way = WAYS[name]
    for expert, script in way.scripts.items():
        for attribute, value in script.items():
            setattr(web.experts[expert], attribute, value)
    written = noted_records(web, monkeypatch)
    await ask(web, {**way.body, "stream": stream}, way.leaves)
    (record,) = written
    async with web.parts.database.session() as session:
        assert await session.scalar(text("SELECT count(*) FROM outcomes")) == 1
    assert record.status == way.status
    if way.error is None:
        assert record.error is None
    else:
        assert way.error in (record.error or "")
    await expect_the_same_in_metrics(web, record)


def noted_records(web: Web, monkeypatch: pytest.MonkeyPatch) -> list[OutcomeRecord]:
    """The records that are written from now on."""
    written: list[OutcomeRecord] = []
    finish = web.parts.log.finish

    async def noted(record: OutcomeRecord) -> None:
        written.append(record)
        await finish(record)

    monkeypatch.setattr(web.parts.log, "finish", noted)
    return written


async def ask(web: Web, body: Any, leaves: Callable[[Web, str], object] | None) -> None:
    """Ask, leave when it is time, and return when everything has ended."""
    if leaves is None:
        await web.http.post("/v1/chat/completions", json=body)
    else:
        async with calling(web, body) as caller:
            await until(lambda: leaves(web, caller.text))
            caller.left.set()
    await until_idle(web)


async def expect_the_same_in_metrics(web: Web, record: OutcomeRecord) -> None:
    """Sums over all experts, and the price of each expert's tokens."""
    metrics = await web.metrics()
    answers = {k: v for k, v in metrics.items() if k.startswith("collegium_answers_total{")}
    name = record.expert or await requested(web, record.decision_id)
    assert answers == {f'collegium_answers_total{{expert="{name}",status="{record.status}"}}': 1}
    assert metrics[f'collegium_answer_seconds_count{{expert="{name}"}}'] == 1
    assert record.prompt_tokens == total(metrics, 'collegium_tokens_total{direction="prompt"')
    completion = total(metrics, 'collegium_tokens_total{direction="completion"')
    assert record.completion_tokens == completion
    assert record.cost_usd == pytest.approx(total(metrics, "collegium_cost_usd_total{"))
    assert record.cost_usd == pytest.approx(sum(priced(metrics, name) for name in PRICES))
    assert total(metrics, "collegium_in_flight{") == 0
    assert total(metrics, "collegium_slots_taken{") == 0
    if record.calls is not None:
        for field_name in ("prompt_tokens", "completion_tokens", "cost_usd"):
            of_calls = sum(call[field_name] for call in record.calls)
            assert getattr(record, field_name) == pytest.approx(of_calls)


async def requested(web: Web, decision: str) -> str:
    """The name under which a panel answers."""
    kept: httpx.Response = await web.http.get(f"/v1/decisions/{decision}")
    return str(kept.json()["decision"]["expert"])


def total(metrics: Mapping[str, float], start: str) -> float:
    """The sum of all series whose names begin so."""
    return sum(value for name, value in metrics.items() if name.startswith(start))


def priced(metrics: Mapping[str, float], expert: str) -> float:
    """Dollars for the tokens that an expert is said to have taken."""
    series = 'collegium_tokens_total{{direction="{}",expert="{}"}}'
    used = [metrics.get(series.format(d, expert), 0.0) for d in ("prompt", "completion")]
    return sum(tokens * price for tokens, price in zip(used, PRICES[expert], strict=True)) / 1e6
