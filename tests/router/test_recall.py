"""What the log says of speeds: only finished answers count, and engines are shared."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from collegium.registry.decisions.log import DecisionRecord, LoggedDecision, OutcomeRecord
from collegium.registry.expert import Expert
from collegium.router.costs import FEWEST_TIMINGS, Speeds
from collegium.router.latency import Timing
from collegium.router.recall import recorded

SQL = Expert("sql", "lora", "sql", engine="embedded")
LISTS = Expert("lists", "lora", "lists", engine="embedded")
REMOTE = Expert("gpt", "openai", "gpt", base_url="http://127.0.0.1:9/v1")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def entry(name: str, expert: str, begins_s: float, takes_s: float) -> LoggedDecision:
    """An answer of 20 tokens that began at noon and a bit."""
    began = NOON + timedelta(seconds=begins_s)
    decision = DecisionRecord(name, began, "auto", expert, "quality", 0.9, "")
    outcome = OutcomeRecord(
        name,
        "ok",
        prompt_tokens=7,
        completion_tokens=20,
        latency_ms=1000 * takes_s,
        ttft_ms=100.0,
        finished_at=began + timedelta(seconds=takes_s),
    )
    return LoggedDecision(decision, outcome, ())


def test_answers_come_back_with_the_load_of_their_engine() -> None:
    """Two experts of one engine wait for each other; a remote one for neither."""
    log = [
        entry("c", "gpt", 1.0, 9.0),
        entry("b", "lists", 1.0, 2.0),
        entry("a", "sql", 0.0, 5.0),
        entry("d", "sql", 2.0, 1.0),
    ]
    assert recorded(log, [SQL, LISTS, REMOTE]) == {
        "sql": [Timing(7, 20, 5000.0, 100.0, 0.0), Timing(7, 20, 1000.0, 100.0, 2.0)],
        "lists": [Timing(7, 20, 2000.0, 100.0, 1.0)],
        "gpt": [Timing(7, 20, 9000.0, 100.0, 0.0)],
    }


def test_the_wait_for_a_turn_is_not_an_experts_own_time() -> None:
    """Where engines take turns it is left out, but of a remote expert's it is part as ever."""
    log = [entry("a", "sql", 0.0, 50.0), entry("b", "gpt", 60.0, 50.0)]
    log = [
        replace(e, outcome=replace(e.outcome, waited_ms=40_000.0, ttft_ms=40_100.0))
        for e in log
        if e.outcome is not None
    ]
    assert recorded(log, [SQL, REMOTE], turns=True) == {
        "sql": [Timing(7, 20, 10_000.0, 100.0, 0.0)],
        "gpt": [Timing(7, 20, 50_000.0, 40_100.0, 0.0)],
    }
    assert recorded(log, [SQL])["sql"] == [Timing(7, 20, 50_000.0, 40_100.0, 0.0)]


def test_what_failed_or_is_gone_teaches_nothing() -> None:
    """Errors, answers without tokens or with estimated ones, unfinished ones, removed experts."""
    good = entry("a", "sql", 0.0, 1.0)
    assert good.outcome is not None
    log = [
        replace(good, outcome=replace(good.outcome, status="error")),
        replace(good, outcome=replace(good.outcome, completion_tokens=0)),
        replace(good, outcome=replace(good.outcome, estimated=True)),
        replace(good, outcome=None),
        entry("b", "removed", 0.0, 1.0),
    ]
    assert recorded(log, [SQL]) == {}


def test_speeds_start_from_the_past() -> None:
    """A restarted service knows its experts' pace."""
    log = [entry(str(i), "sql", 10.0 * i, 2.0) for i in range(FEWEST_TIMINGS)]
    speeds = Speeds(device_watts=45.0)
    speeds.recall(recorded(log, [SQL]))
    assert speeds.latency_ms(SQL, 7, 20, usual_ms_per_token=1.0) == pytest.approx(2000, rel=0.05)
