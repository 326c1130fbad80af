"""What people thought of answers, and what is recorded of decisions."""

from __future__ import annotations

from typing import Any

import pytest

from collegium.router.online.learner import Learner
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


async def rated(web: Web, **fields: Any) -> Any:
    """What comes back of a piece of feedback."""
    answer = await web.http.post("/v1/feedback", json=fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def kept(web: Web, decision: str) -> list[Any]:
    """The feedback of a decision."""
    await web.parts.background.finish()
    return list((await web.http.get(f"/v1/decisions/{decision}")).json()["feedback"])


async def test_a_score_takes_the_place_of_a_verdict(web: Web) -> None:
    """Where there are more shades than two."""
    decision = await asked(web)
    said = await rated(web, decision_id=decision, score=0.7)
    assert (said["verdict"], said["score"], said["source"]) == (None, 0.7, "rating")
    assert [each["score"] for each in await kept(web, decision)] == [0.7]


async def test_turning_to_another_answer_is_feedback_too(web: Web) -> None:
    """Without a score: nobody said how good the answer was."""
    decision = await asked(web)
    await rated(web, decision_id=decision, source="regenerate")
    await rated(web, decision_id=decision, source="ask_another")
    await rated(web, decision_id=decision, preferred="general")
    found = [
        (each["source"], each["score"], each["preferred"]) for each in await kept(web, decision)
    ]
    assert found == [
        ("regenerate", None, None),
        ("ask_another", None, None),
        ("preferred", None, "general"),
    ]


async def test_nobody_unknown_is_preferred(web: Web) -> None:
    """422: the name helps nobody. Whoever took part may be gone since."""
    decision = await asked(web)
    body = {"decision_id": decision, "preferred": "nobody"}
    answer = await web.http.post("/v1/feedback", json=body)
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("unknown_preferred", "preferred")
    panel = await asked(web, model="collegium/vote", routing={"k": 2})
    await web.parts.background.finish()
    member = (await web.parts.log.get(panel)).outcome.calls[0]["expert"]  # type: ignore
    await web.http.delete(f"/v1/experts/{member}")
    await rated(web, decision_id=panel, preferred=member)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"verdict": "failed"}, "decision_id"),
        ({"decision_id": "d", "session": "s", "verdict": "failed"}, "decision_id"),
        ({"decision_id": "d", "scope": "session", "verdict": "failed"}, "scope"),
        ({"decision_id": "d", "verdict": "failed", "score": 0.5}, "score"),
        ({"decision_id": "d"}, "verdict"),
        ({"decision_id": "d", "source": "preferred"}, "preferred"),
        ({"decision_id": "d", "score": 1.1}, "score"),
        ({"decision_id": "d", "score": 1, "source": "guess"}, "source"),
    ],
)
async def test_fields_that_do_not_go_together_are_refused(
    web: Web, body: dict[str, Any], param: str
) -> None:
    """With the one to mend."""
    answer = await web.http.post("/v1/feedback", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_a_session_is_rated_by_its_latest_answer_or_as_a_whole(web: Web) -> None:
    """Late, when the person is done."""
    headers = {"x-session-id": "s1"}
    found = []
    for text in ("sql 1", "sql 2"):
        body = {"messages": [{"role": "user", "content": text}]}
        answer = await web.http.post("/v1/chat/completions", json=body, headers=headers)
        found.append(answer.json()["collegium"]["decision"]["id"])
    await asked(web)
    said = await rated(web, session="s1", verdict="failed")
    assert said["decision_id"] == found[1]
    said = await rated(web, session="s1", scope="session", score=1)
    assert [each["decision_id"] for each in said["data"]] == found[::-1]
    assert [each["score"] for each in await kept(web, found[1])] == [0.0, 1.0]
    unknown = await web.http.post("/v1/feedback", json={"session": "s2", "score": 1})
    assert (unknown.status_code, unknown.json()["error"]["param"]) == (404, "session")


async def test_what_is_sent_twice_counts_once(web: Web) -> None:
    """By the sender's id in the body or in the header; the first one stays."""
    decision = await asked(web)
    first = await rated(web, decision_id=decision, score=0.2, id="r1")
    assert await rated(web, decision_id=decision, score=0.9, id="r1") == first
    headers = {"idempotency-key": "r2"}
    body = {"decision_id": decision, "verdict": "failed"}
    twice = [(await web.http.post("/v1/feedback", json=body, headers=headers)) for _ in range(2)]
    assert twice[0].json() == twice[1].json()
    assert [each["score"] for each in await kept(web, decision)] == [0.2, 0.0]


async def test_a_repeated_rating_of_a_session_reaches_no_later_answer(web: Web) -> None:
    """It is the same rating."""
    headers = {"x-session-id": "s1"}
    body = {"messages": [{"role": "user", "content": "sql 1"}]}
    await web.http.post("/v1/chat/completions", json=body, headers=headers)
    first = await rated(web, session="s1", score=1, id="r1")
    await web.http.post("/v1/chat/completions", json=body, headers=headers)
    assert await rated(web, session="s1", score=1, id="r1") == first


async def test_ratings_without_keys_are_capped_by_address(web: Web) -> None:
    """A flood counts as one rating of an expert, also where everybody is the operator."""
    learner = web.parts.learning.open(Learner.new(web.parts.router.get().fitted, mode="on"))
    web.parts.router.get().learn_by(learner)
    for _ in range(20):
        rating = {"decision_id": await asked(web), "verdict": "failed"}
        assert (await web.http.post("/v1/feedback", json=rating)).status_code == 200
    caps = learner._bandit.caps
    assert caps.trusted.max() == 0
    assert 0 < caps.mass.max() <= 1 + 1e-9
