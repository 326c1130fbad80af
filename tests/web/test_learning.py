"""Learning runs through the API, on fake experts: proposed, asked, marked, fitted, promoted."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from collegium.errors import ExpertRejected
from collegium.registry.learning.runs import Evidence, LearningAnswer, LearningPrompt, Mark
from collegium.router.artifact import FittedRouter
from collegium.web.learning.runs import unconfirmed
from tests.web.conftest import Serve, Web, serving, until

RUNS = "/v1/learning/runs"
VERSIONS = "/v1/router/versions"
ASKED = {"role": "user", "content": "What is a join?"}
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
        ({"prompt": 3}, "line 1: prompt must be a string, not an integer"),
        ({"prompt": ""}, "line 1: The messages contain nothing to answer"),
        ({"prompt": "x", "application": "a\0b"}, "line 1: application must be"),
        ({}, "give `prompt`, `messages` or `request`"),
        ({"prompt": "x", "checker": "python:os:getcwd"}, "python:os:getcwd"),
        ({"prompt": "x", "oracle": 1}, "line 1: oracle is not a known field; available: prompt"),
        ({"prompt": "x", "reference": float("nan")}, "line 1: Out of range"),
        ({"prompt": "x", "messages": []}, "prompt and messages are mutually exclusive"),
        ({"prompt": "x", "checker": {"name": "sql", "database": "/etc/passwd"}}, "`database`"),
        ({"prompt": "x", "checker": {"tolerance": 1}}, "needs a name"),
    ],
)
async def test_faulty_lines_are_named(web: Web, line: dict[str, Any], words: str) -> None:
    """With what is wrong; a prompt can't name code to run."""
    answer = await web.http.post(RUNS, json={"input_file_id": await upload(web, [line])})
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]


async def test_references_that_the_checker_cannot_use_are_named_before_anything_is_paid(
    web: Web,
) -> None:
    """Else all answers would be paid for and have no mark."""
    lines = [*questions(4), {"prompt": "How many?", "checker": "number", "reference": "many"}]
    answer = await web.http.post(RUNS, json={"input_file_id": await upload(web, lines)})
    assert answer.status_code == 400
    assert "\"many\" of 'How many?'" in answer.json()["error"]["message"]


async def test_answers_of_earlier_runs_are_not_paid_for_again(serve: Serve) -> None:
    """A second run of the same prompts asks only what is new; an expert that changed is asked."""
    async with serve(encoder="static") as web:
        speak(web)
        first = await proposed(web, questions(24), race=False)
        await web.http.post(f"{RUNS}/{first['id']}/start")
        await ended(web, first["id"])
        unsure = (await web.http.get(f"{RUNS}/{first['id']}/unconfirmed")).json()
        assert (unsure["data"], unsure["marks"]) == ([], {"checker": 72})
        second = await proposed(web, questions(26), race=False)
        assert second["estimate"]["answers_reused"] == 72
        assert second["estimate"]["answers"] == 78
        assert second["estimate"]["incumbent"] is None
        asked = sum(len(web.experts[name].asked) for name in RIGHT)
        await web.http.post(f"{RUNS}/{second['id']}/start")
        found = await ended(web, second["id"])
        assert found["status"] == "finished", found["detail"]
        assert sum(len(web.experts[name].asked) for name in RIGHT) == asked + 6
        assert found["spent_usd"] < first["estimate"]["usd"] / 4


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


async def test_a_panel_that_writes_is_tried_on_the_replayed_answers(serve: Serve) -> None:
    """Only its aggregator is asked, and its answers are no expert's evidence."""
    async with serve(encoder="static") as web:
        speak(web)
        web.experts["general"].says = "no idea"
        for script in map(web.experts.__getitem__, RIGHT):
            script.aggregates = RIGHT["general"]
        run = await proposed(web, questions(60), race=False, panels=["moa"])
        assert run["estimate"]["usd_by_expert"]["panels"] > 0
        await web.http.post(f"{RUNS}/{run['id']}/start")
        run = await ended(web, run["id"])
        assert (run["status"], run["detail"]) == ("finished", "")
        calls = [call for name in RIGHT for call in web.experts[name].asked]
        aggregated = [call for call in calls if call.role == "aggregator"]
        assert (len(calls), len(aggregated)) == (240, 60)
        assert "select" in str(aggregated[0].body["messages"])
        assert {row["expert"] for row in run["report"]["experts"]} == set(RIGHT)
        panels = [p for p in run["report"]["panels"] if p["mode"] == "moa"]
        moa = next(p for p in panels if p["application"] is None)
        assert (moa["quality"], moa["gain_points"], moa["prompts"]) == (1.0, 50.0, 60)
        assert set(moa["members"]) == set(RIGHT)
        members = sum(row["usd_per_1k"] for row in run["report"]["experts"])
        assert moa["usd_per_1k"] > members - 1e-9


async def test_a_panel_on_few_prompts_is_reported_as_such(serve: Serve) -> None:
    """With how many it needs; two experts make no panel."""
    async with serve(encoder="static") as web:
        speak(web)
        run = await proposed(web, questions(26), race=False, panels=["moa"])
        await web.http.post(f"{RUNS}/{run['id']}/start")
        run = await ended(web, run["id"])
        (told,) = [words for words in run["report"]["warnings"] if "Panel moa" in words]
        assert "was tried on 26 prompts; 30 are needed" in told
        file = await upload(web, questions(30))
        body = {"input_file_id": file, "panels": ["moa"], "experts": ["sql", "lists"]}
        answer = await web.http.post(RUNS, json=body)
        assert answer.status_code == 400
        assert "needs 3 experts" in answer.json()["error"]["message"]


async def test_panels_that_choose_are_not_asked_for(web: Web) -> None:
    """They are judged on the replay anyway; samples of one expert are not in it."""
    file = await upload(web, questions(30))
    for mode, words in (("vote", "can't be tried"), ("self_moa", "can't be tried"), ("x", "moa")):
        answer = await web.http.post(RUNS, json={"input_file_id": file, "panels": [mode]})
        assert answer.status_code == 400
        assert words in answer.json()["error"]["message"]


async def test_a_run_goes_on_where_a_killed_process_left_it(
    serve: Serve, tmp_path: Path, fitted: FittedRouter
) -> None:
    """Answers that were paid for are not asked again."""
    async with serve(encoder="static", drain_timeout_s=0.01) as web:
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


async def test_a_budget_holds_where_answers_keep_to_their_length(serve: Serve) -> None:
    """Asking waits for room, and ends with a reason where none comes; marks are fitted."""
    async with serve(encoder="static") as web:
        speak(web)
        whole = (await proposed(web, questions(200), race=False))["estimate"]
        budget = whole["usd"] / 2
        run = await proposed(web, questions(200), race=False, budget_usd=budget)
        assert run["estimate"]["most_usd"] <= budget < whole["most_usd"]
        await web.http.post(f"{RUNS}/{run['id']}/start")
        run = await ended(web, run["id"])
        assert run["status"] == "finished"
        assert 0 < run["spent_usd"] <= budget
        sent = [call.body["max_tokens"] for call in web.experts["general"].asked]
        assert min(sent) > 0


async def test_an_expert_that_bills_what_it_likes_is_paid_once(serve: Serve) -> None:
    """Its first answer comes before its others, which are then reserved at as much."""
    async with serve(encoder="static") as web:
        speak(web)
        usage = {"prompt_tokens": 20, "completion_tokens": 200_000, "total_tokens": 200_020}
        web.experts["general"].usage = usage
        run = await proposed(web, questions(60), race=False, budget_usd=0.5)
        await web.http.post(f"{RUNS}/{run['id']}/start")
        run = await ended(web, run["id"])
        assert len(web.experts["general"].asked) == 1
        assert run["spent_usd"] == pytest.approx(2.0, rel=0.1)


async def test_the_same_question_is_one_prompt(web: Web) -> None:
    """However long its answer may be."""
    lines = [{"request": {"messages": [ASKED], "max_tokens": n}} for n in (20, 21, 22)]
    run = await proposed(web, [*lines, *questions(40)])
    assert run["estimate"]["prompts"] == 41


async def test_a_run_that_can_lead_to_no_router_is_refused_before_it_costs(serve: Serve) -> None:
    """One expert is compared with nobody; few prompts teach only beside those of earlier runs."""
    async with serve(encoder="static") as web:
        speak(web)
        few, many = (
            await upload(web, [*questions(6), *questions(6)]),
            await upload(web, questions(24)),
        )
        alone = await web.http.post(RUNS, json={"input_file_id": many, "experts": ["sql"]})
        assert (alone.status_code, alone.json()["error"]["param"]) == (400, "experts")
        assert "none of its prompts may be answered by two" in alone.json()["error"]["message"]
        short = await web.http.post(RUNS, json={"input_file_id": few})
        assert (short.status_code, short.json()["error"]["param"]) == (400, "input_file_id")
        assert "needs 24 marked prompts. The run has 6" in short.json()["error"]["message"]
        first = (await web.http.post(RUNS, json={"input_file_id": many})).json()
        await web.http.post(f"{RUNS}/{first['id']}/start")
        await ended(web, first["id"])
        assert (await web.http.post(RUNS, json={"input_file_id": few})).status_code == 201


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


async def test_a_promotion_names_what_is_there(serve: Serve) -> None:
    """An application that asks nothing is a typing error; what serves is not demoted silently."""
    async with serve(encoder="static") as web:
        speak(web)
        run = await proposed(web, questions(40), race=False)
        await web.http.post(f"{RUNS}/{run['id']}/start")
        version = f"{VERSIONS}/{(await ended(web, run['id']))['router']}"
        nobody = await web.http.post(f"{version}/promote", json={"applications": ["nobody"]})
        assert nobody.status_code == 404
        both = await web.http.post(f"{version}/promote", json={"automatic": True, "share": 0.5})
        assert both.status_code == 400
        assert (await web.http.post(f"{version}/promote", json={})).status_code == 200
        less = await web.http.post(f"{version}/promote", json={"share": 0.2})
        assert (less.status_code, less.json()["error"]["code"]) == (409, "learning_refused")
        records = (web.parts.settings.data_dir / "logs" / "audit.jsonl").read_text()
        assert records.count("/promote") == 4


async def test_a_year_is_no_time_to_delete_since(web: Web) -> None:
    """2026 seconds after 1970 would be everything."""
    await web.chat("sql 1")
    answer = await web.http.delete("/v1/decisions", params={"since": "2026"})
    assert answer.status_code == 400
    assert len((await web.http.get("/v1/decisions")).json()["data"]) == 1


async def test_the_list_of_runs_is_limited_and_refuses_unknown_parameters(web: Web) -> None:
    """A filter that is ignored would show what was not asked for."""
    path = "/v1/learning/runs"
    assert (await web.http.get(path, params={"limit": 1})).json()["data"] == []
    assert (await web.http.get(path, params={"limit": 0})).status_code in (400, 422)
    refused = await web.http.get(path, params={"application": "shop"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "application")


async def test_a_judge_that_gives_no_verdict_ends_the_run(serve: Serve) -> None:
    """Before it has cost much, and with a reason; the answers are there for another judge."""
    async with serve(encoder="static") as web:
        speak(web)
        lines = [{"prompt": f"sql {number}"} for number in range(30)]
        spec = {"experts": ["sql", "lists"], "judge": "general", "race": False}
        run = await proposed(web, lines, **spec)
        await web.http.post(f"{RUNS}/{run['id']}/start")
        run = await ended(web, run["id"])
        assert run["status"] == "failed"
        assert "'general' gave no verdict on any of 12 answers" in run["detail"]
        asked = len(web.experts["general"].asked)
        assert asked < 60
        again = await proposed(web, lines, **spec)
        assert again["estimate"]["answers_reused"] >= 24


async def test_verdicts_that_are_missing_are_told(serve: Serve) -> None:
    """With the report, and why there are none."""
    async with serve(encoder="static") as web:
        speak(web)
        web.experts["general"].says = "tie"
        web.experts["general"].refusal = lambda call: (
            ExpertRejected("general", "finds it rude") if "sql 29" in str(call.body) else None
        )
        lines = [{"prompt": f"sql {number}"} for number in range(30)]
        run = await proposed(web, lines, experts=["sql", "lists"], judge="general", race=False)
        await web.http.post(f"{RUNS}/{run['id']}/start")
        run = await ended(web, run["id"])
        assert run["status"] == "finished"
        assert "the judge 'general' gave no verdict on 1 of 30 answers" in run["detail"]
        assert "finds it rude" in run["detail"]


async def test_a_log_without_the_application_is_told(web: Web) -> None:
    """It may be a typing error."""
    await web.chat("sql 1")
    answer = await web.http.post(RUNS, json={"from_log": {"application": "nobody"}})
    assert answer.status_code == 400
    assert "no requests of the application 'nobody'" in answer.json()["error"]["message"]


def test_nobody_is_asked_to_confirm_an_answer_that_never_came() -> None:
    """There is nothing to read, and it is wrong."""
    prompts = tuple(LearningPrompt("lrn_1", n, str(n), "", {}, {}) for n in range(2))
    came = ({"content": "yes"}, None)
    answers = tuple(LearningAnswer("lrn_1", n, "a", "f", each) for n, each in enumerate(came))
    marks = tuple(Mark("lrn_1", n, "a", "judge", 0.0, 0.75, "") for n in range(2))
    found = unconfirmed(Evidence(prompts, answers, marks), 9, seed=0)
    assert [prompt.number for prompt, _ in found] == [0]
