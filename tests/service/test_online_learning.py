"""A service that learns from ratings, with real experts on HTTP and no engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from collegium.cli.router_command import command
from tests.evals.training.test_learning import write_set
from tests.running_service import RunningService, running_service

pytestmark = pytest.mark.slow
ROUNDS = 300
KNOWN = [n for n in range(40) if n % 4]
"""The set's training part, of which the router knows most."""


KEY, CALLER = "the-operators-key", "one-callers-key"


@pytest.fixture
def learning_service(
    tmp_path: Path, echo_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RunningService]:
    """It knows from a recorded set that `lister` makes lists and `poet` does not."""
    settings = {"COLLEGIUM_ENCODER": "static", "COLLEGIUM_CACHE_DIR": str(tmp_path / "cache")}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    arguments = [
        "train",
        str(write_set(tmp_path / "set", each=100)),
        "--out",
        str(tmp_path / "router"),
    ]
    assert CliRunner().invoke(command, arguments, catch_exceptions=False).exit_code == 0
    settings |= {
        "COLLEGIUM_EMBEDDED": "false",
        "COLLEGIUM_ROUTER_DIR": str(tmp_path / "router"),
        "COLLEGIUM_ONLINE_LEARNING": "on",
        "COLLEGIUM_API_KEY": KEY,
        "COLLEGIUM_CALLER_KEYS": json.dumps({"caller": CALLER}),
    }
    with running_service(tmp_path / "data", **settings) as service:
        for name in ("lister", "poet"):
            expert = {"name": name, "kind": "openai", "model": "echo-1", "base_url": echo_url}
            with client(service, KEY) as http:
                http.post("/v1/experts", json=expert).raise_for_status()
        yield service


def client(service: RunningService, key: str) -> httpx.Client:
    """Somebody with a key."""
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.Client(base_url=service.url, headers=headers, timeout=60)


def rate(http: httpx.Client, rounds: int) -> list[dict[str, Any]]:
    """Ask for lists, and say that only the poet's are good, each time from another session."""
    decisions = []
    for i in range(rounds):
        said = {
            "role": "user",
            "content": f"lists about the number {KNOWN[i % len(KNOWN)]}, please",
        }
        session = {"x-session-id": f"session {i}"}
        body = {"messages": [said]}
        answer = http.post("/v1/chat/completions", json=body, headers=session).json()
        decision = answer["collegium"]["decision"]
        assert 0 < decision["propensity"] <= 1
        verdict = "good_fit" if answer["model"] == "poet" else "failed"
        rating = {"decision_id": decision["id"], "verdict": verdict}
        assert http.post("/v1/feedback", json=rating, headers=session).status_code == 200
        decisions.append(decision)
    return decisions


def test_the_operators_ratings_move_traffic_and_one_callers_do_not(
    learning_service: RunningService,
) -> None:
    """A key counts as one source, whatever sessions it makes up; odds and policy are kept."""
    with client(learning_service, CALLER) as http:
        flood = [decision["expert"] for decision in rate(http, ROUNDS)]
    assert flood[-100:].count("lister") > 80
    with client(learning_service, KEY) as http:
        taught = rate(http, ROUNDS)
        kept = http.get(f"/v1/decisions/{taught[-1]['id']}").json()
    assert [decision["expert"] for decision in taught[-50:]].count("poet") > 40
    assert "online" in {decision["policy"] for decision in taught}
    assert kept["decision"]["propensity"] == pytest.approx(taught[-1]["propensity"])
    assert not (learning_service.data_dir / "online").exists()  # it is in the database
