"""A service that learns from ratings, with real experts on HTTP and no engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from collegium.cli.router_command import command
from tests.evals.test_learning import write_set
from tests.running_service import RunningService, running_service

pytestmark = pytest.mark.slow
ROUNDS = 300
KNOWN = [n for n in range(40) if n % 4]
"""The set's training part: what is not in it may be unfamiliar, and that is not for learning."""


@pytest.fixture
def learning_service(
    tmp_path: Path, echo_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RunningService]:
    """It knows from a recorded set that `lister` makes lists and `poet` does not."""
    settings = {"COLLEGIUM_ENCODER": "static", "COLLEGIUM_CACHE_DIR": str(tmp_path / "cache")}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    arguments = ["train", str(write_set(tmp_path / "set")), "--out", str(tmp_path / "router")]
    assert CliRunner().invoke(command, arguments, catch_exceptions=False).exit_code == 0
    settings |= {
        "COLLEGIUM_EMBEDDED": "false",
        "COLLEGIUM_ROUTER_DIR": str(tmp_path / "router"),
        "COLLEGIUM_ONLINE_LEARNING": "on",
    }
    with running_service(tmp_path / "data", **settings) as service:
        for name in ("lister", "poet"):
            expert = {"name": name, "kind": "openai", "model": "echo-1", "base_url": echo_url}
            httpx.post(f"{service.url}/v1/experts", json=expert, timeout=60).raise_for_status()
        yield service


def test_ratings_move_traffic_away_from_who_got_worse(learning_service: RunningService) -> None:
    """Lists go to `lister` until people say that its answers fail; odds and policy are kept."""
    with httpx.Client(base_url=learning_service.url, timeout=60) as http:
        experts, policies = [], []
        for i in range(ROUNDS):
            number = KNOWN[i % len(KNOWN)]
            said = {"role": "user", "content": f"lists about the number {number}, please"}
            answer = http.post("/v1/chat/completions", json={"messages": [said]}).json()
            decision = answer["collegium"]["decision"]
            assert 0 < decision["propensity"] <= 1
            verdict = "good_fit" if answer["model"] == "poet" else "failed"
            rating = {"decision_id": decision["id"], "verdict": verdict}
            assert http.post("/v1/feedback", json=rating).status_code == 200
            experts.append(answer["model"])
            policies.append(decision["policy"])
        kept = http.get(f"/v1/decisions/{decision['id']}").json()
    assert experts[:10].count("lister") >= 9
    assert experts[-50:].count("poet") > 40
    assert "online" in policies
    assert kept["decision"]["propensity"] == pytest.approx(decision["propensity"])
    assert (learning_service.data_dir / "online" / "bandit.json").is_file()
