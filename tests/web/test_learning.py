"""Learning runs through the API, on fake experts: proposed, asked, marked, fitted, promoted."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from collegium.router.artifact import FittedRouter
from tests.web.conftest import Serve, Web, serving, until

RUNS = "/v1/learning/runs"
VERSIONS = "/v1/router/versions"
RIGHT = {"sql": "select", "lists": "a list", "general": "both"}
"""What each fake expert says, whatever it is asked."""


def questions(count: int) -> list[dict[str, Any]]:
    """Half of them about SQL, half about lists; the generalist is right on both, and dear."""
    return [
        {
            "messages": [
                {"role": "system", "content": f"You answer questions about {kind}."},
                {"role": "user", "content": f"{kind} {number}"},
            ],
            "application": kind,
            "reference": [RIGHT[kind], RIGHT["general"]],
        }
        for number in range(count // 2)
        for kind in ("sql", "lists")
    ]


async def upload(web: Web, lines: list[dict[str, Any]]) -> str:
    """The id of a file of prompts."""
    text = "\n".join(json.dumps(line) for line in lines)
    files = {"file": ("prompts.jsonl", text.encode())}
    answer = await web.http.post("/v1/files", data={"purpose": "learning"}, files=files)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


async def proposed(web: Web, lines: list[dict[str, Any]], **spec: Any) -> Any:
    """A proposed run."""
    body = {"input_file_id": await upload(web, lines), **spec}
    answer = await web.http.post(RUNS, json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def answers_kept(web: Web, run_id: str, count: int) -> bool:
    """Whether so many answers are in the database."""
    return len((await web.parts.learning_runs.evidence([run_id])).answers) >= count


async def ended(web: Web, run_id: str) -> Any:
    """The run when it has ended."""

    async def over() -> bool:
        found = (await web.http.get(f"{RUNS}/{run_id}")).json()
        return found["status"] in ("finished", "failed", "cancelled")

    await until(over, timeout_s=120)
    return (await web.http.get(f"{RUNS}/{run_id}")).json()


async def test_a_proposal_tells_what_it_costs_and_asks_nobody(web: Web) -> None:
    """Three experts, each asked every prompt."""
    run = await proposed(web, questions(40), race=False)
    assert run["status"] == "proposed"
    estimate = run["estimate"]
    assert (estimate["prompts"], estimate["answers"]) == (40, 120)
    assert estimate["usd"] > 0
    assert set(estimate["applications"]) == {"sql", "lists"}
    assert not any(web.experts[name].asked for name in ("sql", "lists", "general"))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ({"prompt": 3}, "line 1: prompt"),
        ({}, "give `prompt`, `messages` or `request`"),
        ({"prompt": "x", "checker": "python:os:getcwd"}, "python:os:getcwd"),
        ({"prompt": "x", "oracle": 1}, "line 1: oracle"),
    ],
)
async def test_faulty_lines_are_named(web: Web, line: dict[str, Any], words: str) -> None:
    """With what is wrong; a prompt can't name code to run."""
    answer = await web.http.post(RUNS, json={"input_file_id": await upload(web, [line])})
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]


def speak(web: Web) -> None:
    """Let every expert give its answer."""
    for name, words in RIGHT.items():
        web.experts[name].says = words


async def test_the_whole_way_from_prompts_to_a_router_that_serves(serve: Serve) -> None:
    """Asked, marked by program, fitted, reported, promoted without a restart, and rolled back."""
    async with serve(encoder="static") as web:
        speak(web)
        before = (await web.http.get(VERSIONS)).json()["serving"]
        run = await proposed(web, questions(240), race=False)
        await web.http.post(f"{RUNS}/{run['id']}/start")
        run = await ended(web, run["id"])
        assert (run["status"], run["detail"]) == ("finished", "")
        assert run["answered"] == run["planned"] == 720
        report = run["report"]
        quality = {row["expert"]: row["quality"] for row in report["experts"]}
        assert quality == {"sql": 0.5, "lists": 0.5, "general": 1.0}
        assert report["best_single"] == "general"
        assert report["confirmed"]
        assert report["policies"]["balanced"]["saved"] > 0.5
        assert abs(report["policies"]["balanced"]["loss_points"]) < 1
        best = {a["application"]: a["mostly_sent_to"] for a in report["applications"]}
        assert best == {"sql": "sql", "lists": "lists"}

        version = run["router"]
        promoted = await web.http.post(f"{VERSIONS}/{version}/promote", json={})
        assert promoted.json()["status"] == "serving"
        await until(lambda: web.parts.router.get().version == version)
        body = {"model": "collegium/balanced", "metadata": {"application": "lists"}}
        answer = (await web.chat("lists 7", **body)).json()
        assert (answer["model"], answer["collegium"]["decision"]["router"]) == ("lists", version)
        decision = answer["collegium"]["decision"]["id"]
        logged = (await web.http.get(f"/v1/decisions/{decision}")).json()
        assert logged["decision"]["router"] == version

        back = await web.http.post("/v1/router/rollback", json={"reason": "a test"})
        assert back.json()["rolled_back"]["status"] == "rolled_back"
        await until(lambda: web.parts.router.get().version == before)


async def test_a_run_goes_on_where_a_killed_process_left_it(
    serve: Serve, tmp_path: Path, fitted: FittedRouter
) -> None:
    """Answers that were paid for are not asked again."""
    async with serve(encoder="static") as web:
        speak(web)
        web.experts["general"].waits = True
        run = await proposed(web, questions(60), race=False)
        await web.http.post(f"{RUNS}/{run['id']}/start")
        await until(partial(answers_kept, web, run["id"], 24))
        asked = {n: len(web.experts[n].asked) for n in RIGHT}
    async with serving(tmp_path, fitted, encoder="static") as web:
        speak(web)
        again = (await web.http.get(f"{RUNS}/{run['id']}")).json()
        assert again["status"] == "running"
        run = await ended(web, run["id"])
        assert run["status"] == "finished"
        now = {n: len(web.experts[n].asked) for n in RIGHT}
        assert now["sql"] + asked["sql"] == 60
        assert run["answered"] == 180


async def test_a_budget_is_never_exceeded(web: Web) -> None:
    """Asking stops before it; what was paid for is fitted."""
    speak(web)
    whole = (await proposed(web, questions(200), race=False))["estimate"]["usd"]
    run = await proposed(web, questions(200), race=False, budget_usd=whole / 2)
    assert run["estimate"]["most_usd"] <= whole / 2
    assert run["estimate"]["prompts"] < 200


async def test_a_budget_below_the_least_is_refused(web: Web) -> None:
    """With what would be enough."""
    body = {"input_file_id": await upload(web, questions(200)), "budget_usd": 1e-9}
    answer = await web.http.post(RUNS, json=body)
    assert answer.status_code == 400
    assert "24 are needed, which cost about $" in answer.json()["error"]["message"]


async def test_rules_keep_prompts_from_experts(web: Web) -> None:
    """A replay goes nowhere that the application's policy excludes."""
    speak(web)
    lines = questions(60)
    await web.chat("sql 1", metadata={"application": "sql"})
    await web.parts.recognition.synchronise()
    policy = {"policy": {"experts_deny": ["lists"]}}
    assert (await web.http.patch("/v1/applications/sql", json=policy)).status_code == 200
    run = await proposed(web, lines, race=False)
    assert run["estimate"]["answers"] == 30 * 2 + 30 * 3
    await web.http.post(f"{RUNS}/{run['id']}/start")
    await until(lambda: len(web.experts["lists"].asked) == 30)
    assert all("lists" in str(call.body) for call in web.experts["lists"].asked)
    await ended(web, run["id"])


async def test_callers_can_not_learn(serve: Serve) -> None:
    """It costs money and changes the router: only the operator may."""
    keys = {"api_key": "operator-key", "caller_keys": {"anna": "anna-s-own-key"}}
    async with serve(**keys) as web:
        web.http.headers["authorization"] = "Bearer anna-s-own-key"
        for path in (RUNS, VERSIONS):
            assert (await web.http.get(path)).status_code == 403
