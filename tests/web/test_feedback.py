"""What people thought of answers, and what is recorded of decisions."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.conftest import Web


async def asked(web: Web, **fields: Any) -> str:
    """The id of a decision."""
    return str((await web.chat("sql 1", **fields)).json()["collegium"]["decision"]["id"])


async def test_feedback_is_kept_beside_its_decision(web: Web) -> None:
    """Each rating, with its comment, as it was given."""
    decision = await asked(web)
    for verdict, comment in (("good_fit", "nice"), ("underpowered", None)):
        body = {"decision_id": decision, "verdict": verdict, "comment": comment}
        answer = await web.http.post("/v1/feedback", json=body)
        assert answer.json() == {
            "id": answer.json()["id"],
            "decision_id": decision,
            "verdict": verdict,
            "score": float(verdict == "good_fit"),
            "source": "rating",
            "preferred": None,
        }
    await web.parts.background.finish()
    kept = (await web.http.get(f"/v1/decisions/{decision}")).json()
    told = [(f["verdict"], f["comment"]) for f in kept["feedback"]]
    assert told == [("good_fit", "nice"), ("underpowered", None)]
    assert kept["decision"]["id"] == kept["outcome"]["decision_id"] == decision


async def test_another_answer_of_a_panel_can_be_preferred(web: Web) -> None:
    """The pick is kept."""
    decision = await asked(web, model="collegium/vote", routing={"k": 2})
    pick = {"decision_id": decision, "verdict": "underpowered", "preferred": "general"}
    assert (await web.http.post("/v1/feedback", json=pick)).status_code == 200
    kept = (await web.http.get(f"/v1/decisions/{decision}")).json()
    assert kept["feedback"][0]["preferred"] == "general"


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": "splendid"},
        {"comment": "x" * 2001},
        {"preferred": ""},
        {"decision_id": ""},
        {"stars": 5},
    ],
)
async def test_a_rating_that_makes_no_sense_is_refused(web: Web, change: dict[str, Any]) -> None:
    """With the field; nothing is kept."""
    decision = await asked(web)
    body = {"decision_id": decision, "verdict": "failed", **change}
    answer = await web.http.post("/v1/feedback", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] in change
    kept = (await web.http.get(f"/v1/decisions/{decision}")).json()
    assert kept["feedback"] == []


async def test_a_decision_that_nobody_made_is_unknown(web: Web) -> None:
    """To read and to rate."""
    body = {"decision_id": "dec_none", "verdict": "good_fit"}
    for answer in (
        await web.http.post("/v1/feedback", json=body),
        await web.http.get("/v1/decisions/dec_none"),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "decision_not_found")


async def test_a_decision_is_there_before_its_outcome(web: Web) -> None:
    """It outlives a crash."""
    web.experts["sql"].dies = KeyError("of a crash")
    response = await web.chat("sql 1", stream=True)
    decision = response.headers["x-collegium-decision-id"]
    kept = (await web.http.get(f"/v1/decisions/{decision}")).json()
    assert kept["decision"]["expert"] == "sql"
