"""The API as curl and a hostile client see it, on the real engine."""

from __future__ import annotations

import json
import subprocess
import time
from typing import Any

import httpx
import pytest

from tests.running_service import RunningService

pytestmark = pytest.mark.slow
STORY = {"role": "user", "content": "Tell a very long story about the sea and its ships."}


def test_curl_can_stream(service: RunningService) -> None:
    """curl prints events and the end mark."""
    body = {"model": "smollm2", "messages": [STORY], "stream": True, "max_tokens": 6}
    header = "content-type: application/json"
    command = ["curl", "-sN", f"{service.url}/v1/chat/completions", "-H", header]
    done = subprocess.run(
        [*command, "-d", json.dumps(body)], capture_output=True, text=True, check=True
    )
    lines = [line for line in done.stdout.splitlines() if line]
    assert all(line.startswith("data: ") for line in lines)
    assert lines[-1] == "data: [DONE]"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "role"),
        ({"messages": [{"role": "user", "content": "  "}]}, "no text"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": 3}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stream": "yes"}, "stream"),
        ({"routing": {"k": 3}}, "routing.k"),
        ({"routing": {"max_price": 1}}, "routing.max_price"),
        ({"routing": {"experts_allow": ["nobody"]}}, "nobody"),
        ({"routing": {"experts_allow": []}}, "leave none"),
        ({"model": 5}, "model"),
    ],
)
def test_bad_input_is_refused_with_its_place(
    http: httpx.Client, change: dict[str, Any], words: str
) -> None:
    """A 4xx in OpenAI's shape that names what is wrong."""
    answer = http.post("/v1/chat/completions", json={"messages": [STORY], **change})
    assert 400 <= answer.status_code < 500
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert words in f"{error['param']} {error['message']}"


def test_broken_json_is_said_to_be_broken(http: httpx.Client) -> None:
    """The message is about JSON, not about a missing field."""
    headers = {"content-type": "application/json"}
    answer = http.post("/v1/chat/completions", content=b'{"model": "auto",', headers=headers)
    assert answer.status_code == 400
    assert "not valid JSON" in answer.json()["error"]["message"]


def test_limits_that_nobody_fits_name_the_nearest(http: httpx.Client) -> None:
    """The refusal says which limit binds and what would be feasible."""
    routing = {"max_latency_ms": 0.001}
    answer = http.post("/v1/chat/completions", json={"messages": [STORY], "routing": routing})
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert error["code"] == "no_feasible_expert"
    assert "max_latency_ms=0.001" in error["message"]
    assert "nearest feasible" in error["message"]


def test_allow_and_deny_bind_the_choice(http: httpx.Client) -> None:
    """The decision keeps to the experts that the request allows."""
    routing = {"experts_allow": ["json", "sql"], "experts_deny": ["sql"]}
    answer = http.post("/v1/route", json={"messages": [STORY], "routing": routing})
    assert answer.json()["expert"] == "json"


def test_a_decision_lists_every_candidate(http: httpx.Client) -> None:
    """/v1/route shows all forecasts, the reason and the overhead, and answers nothing."""
    asked = {"messages": [{"role": "user", "content": "Convert 3 km to metres. Number only."}]}
    decision = http.post("/v1/route", json=asked).json()
    assert decision["expert"] == decision["forecasts"][0]["expert"]
    assert len(decision["forecasts"]) == len(http.get("/v1/experts").json()["data"])
    assert decision["overhead_ms"] > 0
    assert decision["reason"]


def test_feedback_is_recorded_with_its_decision(http: httpx.Client) -> None:
    """A rating is kept beside the decision and its outcome; unknown decisions are refused."""
    answer = http.post("/v1/chat/completions", json={"messages": [STORY], "max_tokens": 4}).json()
    decision_id = answer["collegium"]["decision"]["id"]
    rating = {"decision_id": decision_id, "verdict": "good_fit", "comment": "nice"}
    assert http.post("/v1/feedback", json=rating).status_code == 200
    kept = http.get(f"/v1/decisions/{decision_id}").json()
    assert kept["feedback"][0]["verdict"] == "good_fit"
    outcome = outcome_of(http, decision_id)
    assert (outcome["status"], outcome["completion_tokens"]) == ("ok", 4)
    unknown = http.post("/v1/feedback", json={**rating, "decision_id": "dec_none"})
    assert unknown.status_code == 404


def test_a_client_that_leaves_a_stream_ends_the_generation(
    service: RunningService, http: httpx.Client
) -> None:
    """The engine runs nothing any more soon after the client hangs up."""
    body = {"model": "smollm2", "messages": [STORY], "max_tokens": 1500, "ignore_eos": True}
    with http.stream("POST", "/v1/chat/completions", json={**body, "stream": True}) as response:
        decision = response.headers["x-collegium-decision-id"]
        lines = response.iter_lines()  # kept: a generator that nobody holds hangs up
        next(lines)
        expect_load(service, 1.0)
    expect_load(service, 0.0)
    assert outcome_of(http, decision)["status"] == "cancelled"


def test_a_client_that_gives_up_waiting_ends_the_generation(
    service: RunningService, http: httpx.Client
) -> None:
    """The same for an answer that is not streamed."""
    body = {"model": "smollm2", "messages": [STORY], "max_tokens": 1500, "ignore_eos": True}
    with pytest.raises(httpx.ReadTimeout):
        http.post("/v1/chat/completions", json=body, timeout=3.0)
    expect_load(service, 0.0)


def expect_load(service: RunningService, load: float) -> None:
    """Wait a little for the engine to run so many requests: its metric lags behind."""
    deadline = time.monotonic() + 20
    while service.engine_load() != load:
        assert time.monotonic() < deadline, f"the engine runs {service.engine_load()} requests"
        time.sleep(0.2)


def outcome_of(http: httpx.Client, decision: str) -> Any:
    """The recorded outcome, which is written a moment after the answer ends."""
    deadline = time.monotonic() + 15
    while (kept := http.get(f"/v1/decisions/{decision}").json())["outcome"] is None:
        assert time.monotonic() < deadline, "no outcome was recorded"
        time.sleep(0.1)
    return kept["outcome"]


def test_metrics_count_decisions_and_answers(http: httpx.Client) -> None:
    """Prometheus sees decisions, tokens and the routing overhead apart from the answer's time."""
    http.post("/v1/chat/completions", json={"messages": [STORY], "max_tokens": 3})
    text = http.get("/metrics").text
    for name in (
        'collegium_decisions_total{expert="smollm2",policy="out_of_distribution"}',
        'collegium_answers_total{expert="smollm2",status="ok"}',
        'collegium_tokens_total{direction="completion",expert="smollm2"}',
        "collegium_routing_overhead_seconds_bucket",
        'collegium_engine_ready{engine="embedded"} 1.0',
    ):
        assert name in text


def test_a_page_of_another_site_is_refused(http: httpx.Client) -> None:
    """DNS rebinding: a foreign Host header reaches nothing."""
    assert http.get("/v1/models", headers={"host": "evil.example"}).status_code == 400


def test_a_body_that_is_too_large_is_refused(http: httpx.Client) -> None:
    """9 MiB are not read into memory."""
    answer = http.post("/v1/chat/completions", content=b"x" * (9 * 2**20))
    assert answer.status_code == 413
