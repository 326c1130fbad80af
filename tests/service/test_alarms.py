"""An expert loses its right answers: where a real service says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.service.upstreams import ADMIN, serving, until, upstream

pytestmark = pytest.mark.slow
SETTINGS = {"COLLEGIUM_API_KEY": ADMIN, "COLLEGIUM_ENCODER": "static"}


def test_a_loss_is_told_by_the_api_the_log_the_metrics_and_the_command(tmp_path: Path) -> None:
    """The router knows nothing of the expert: its own earlier ratings are what is usual."""
    with (
        upstream() as one,
        upstream() as other,
        serving(tmp_path, one, other, **SETTINGS) as service,
        httpx.Client(base_url=service.url, headers=key(), timeout=60) as http,
    ):
        rated(http, 100, 1.0)
        rated(http, 40, 0.0)
        until(lambda: alarms(http))
        (alarm,) = alarms(http)
        assert (alarm["kind"], alarm["expert"], alarm["lowered"]) == ("drift", "a", 0.0)
        assert "a has lost about" in alarm["detail"]
        assert "no forecasts of it that could be lowered" in alarm["detail"]
        shown = service.cli("alarms", "list").stdout
        assert alarm["id"] in shown
        assert 'collegium_alarms{kind="drift"} 1' in http.get("/metrics").text
        closed = service.cli("alarms", "close", alarm["id"], "--reason", "engine restarted")
        assert closed.returncode == 0, closed.stderr
        assert not alarms(http)
    log = (tmp_path / "serve.log").read_text()
    assert alarm["detail"] in log


def rated(http: httpx.Client, count: int, score: float) -> None:
    """Ask the expert by its name, and rate its answers."""
    ratings = []
    for number in range(count):
        asked = {"model": "a", "messages": [{"role": "user", "content": f"Text {number}"}]}
        answer = http.post("/v1/chat/completions", json=asked).json()
        decision = answer["collegium"]["decision"]["id"]
        ratings.append({"decision_id": decision, "score": score})
    said = http.post("/v1/feedback/bulk", json=ratings).json()["data"]
    assert {line["status"] for line in said} == {200}


def alarms(http: httpx.Client) -> list[dict[str, Any]]:
    """The open ones."""
    found: list[dict[str, Any]] = http.get("/v1/alarms").json()["data"]
    return found


def key() -> dict[str, str]:
    """The operator's."""
    return {"authorization": f"Bearer {ADMIN}"}
