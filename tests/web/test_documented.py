"""Every route and every error of docs/api.md, each with a request that shows it.

The two tables of requests here are compared with those of the documentation: what is documented is
exercised, and nothing else is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from collegium import errors
from collegium.errors import CollegiumError
from collegium.experts import embedded
from collegium.registry.alarms import Alarm
from collegium.registry.expert import Expert
from tests.repository import ROOT
from tests.web.conftest import Serve, Web
from tests.web.test_batches import done, results

Ask = Callable[[Web], Awaitable[httpx.Response]]
LINE = {
    "custom_id": "a",
    "method": "POST",
    "url": "/v1/chat/completions",
    "body": {"model": "sql", "messages": [{"role": "user", "content": "sql 1"}]},
}
NEVER_AN_ANSWER = "Never returned by the API: "
"""So the documentation tells of errors that no request can meet."""


def rows(first: str) -> list[list[str]]:
    """The cells of the table of docs/api.md whose first column is called so."""
    lines = (ROOT / "docs" / "api.md").read_text(encoding="utf-8").splitlines()
    start = lines.index(next(line for line in lines if line.startswith(f"| {first} |"))) + 2
    end = next(i for i in range(start, len(lines)) if not lines[i].startswith("|"))
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[start:end]]


def unquoted(cell: str) -> str:
    return cell.strip("`")


# --- routes ---


def get(path: str) -> Ask:
    return lambda web: web.http.get(path)


def post(path: str, body: Any = None) -> Ask:
    return lambda web: web.http.post(path, json=body)


async def decision(web: Web) -> str:
    """The id of a decision."""
    return str((await web.chat("sql 1")).json()["collegium"]["decision"]["id"])


async def file(web: Web) -> str:
    """The id of a file."""
    return str((await upload(web)).json()["id"])


async def upload(web: Web) -> httpx.Response:
    files = {"file": ("in.jsonl", json.dumps(LINE).encode())}
    return await web.http.post("/v1/files", files=files, data={"purpose": "batch"})


async def create(web: Web) -> httpx.Response:
    body = {"input_file_id": await file(web), "endpoint": "/v1/chat/completions"}
    return await web.http.post("/v1/batches", json=body)


async def batch(web: Web) -> str:
    """The id of a bulk job, whose expert says nothing yet."""
    web.experts["sql"].waits = True
    return str((await create(web)).json()["id"])


async def rate(web: Web) -> httpx.Response:
    body = {"decision_id": await decision(web), "verdict": "good_fit"}
    return await web.http.post("/v1/feedback", json=body)


async def prefer_nobody(web: Web) -> httpx.Response:
    body = {"decision_id": await decision(web), "preferred": "nobody"}
    return await web.http.post("/v1/feedback", json=body)


async def see_decision(web: Web) -> httpx.Response:
    return await web.http.get(f"/v1/decisions/{await decision(web)}")


async def delete_decision(web: Web) -> httpx.Response:
    return await web.http.delete(f"/v1/decisions/{await decision(web)}")


async def application(web: Web, key: str = "desk") -> str:
    """An application that has asked."""
    await web.chat("sql 1", metadata={"application": key})
    return f"/v1/applications/{key}"


async def see_application(web: Web) -> httpx.Response:
    return await web.http.get(await application(web))


async def name_application(web: Web) -> httpx.Response:
    return await web.http.patch(await application(web), json={"name": "The desk"})


async def merge_applications(web: Web) -> httpx.Response:
    await application(web, "other desk")
    return await web.http.post(f"{await application(web)}/merge", json={"into": "other desk"})


async def split_applications(web: Web) -> httpx.Response:
    await merge_applications(web)
    return await web.http.post(f"{await application(web)}/split", json={})


async def see_file(web: Web) -> httpx.Response:
    return await web.http.get(f"/v1/files/{await file(web)}")


async def read_file(web: Web) -> httpx.Response:
    return await web.http.get(f"/v1/files/{await file(web)}/content")


async def delete_file(web: Web) -> httpx.Response:
    return await web.http.delete(f"/v1/files/{await file(web)}")


async def see_batch(web: Web) -> httpx.Response:
    return await web.http.get(f"/v1/batches/{await batch(web)}")


async def cancel_batch(web: Web) -> httpx.Response:
    return await web.http.post(f"/v1/batches/{await batch(web)}/cancel")


async def close_alarm(web: Web) -> httpx.Response:
    alarm = Alarm("canary", "an alarm")
    await web.parts.alarms.raise_(alarm)
    return await web.http.post(f"/v1/alarms/{alarm.id}/close", json={})


QUESTION = LINE["body"]
NEW = {"name": "new", "kind": "litellm"}
MARK = {"number": 0, "expert": "sql", "score": 1.0}
ROUTES: dict[str, tuple[Ask, int]] = {
    "POST /v1/chat/completions": (post("/v1/chat/completions", QUESTION), 200),
    "POST /v1/route": (post("/v1/route", QUESTION), 200),
    "GET /v1/models": (get("/v1/models"), 200),
    "POST /v1/feedback": (rate, 200),
    "POST /v1/feedback/bulk": (post("/v1/feedback/bulk", []), 200),
    "GET /v1/decisions": (get("/v1/decisions"), 200),
    "GET /v1/decisions/{decision_id}": (see_decision, 200),
    "DELETE /v1/decisions": (
        lambda web: web.http.delete("/v1/decisions", params={"session": "s1"}),
        200,
    ),
    "DELETE /v1/decisions/{decision_id}": (delete_decision, 200),
    "GET /v1/experts": (get("/v1/experts"), 200),
    "POST /v1/experts": (post("/v1/experts", NEW), 201),
    "PATCH /v1/experts/{name}": (
        lambda web: web.http.patch("/v1/experts/sql", json={"description": "changed"}),
        200,
    ),
    "DELETE /v1/experts/{name}": (lambda web: web.http.delete("/v1/experts/sql"), 204),
    "GET /v1/applications": (get("/v1/applications"), 200),
    "GET /v1/applications/{key:path}": (see_application, 200),
    "PATCH /v1/applications/{key:path}": (name_application, 200),
    "POST /v1/applications/{key:path}/merge": (merge_applications, 200),
    "POST /v1/applications/{key:path}/split": (split_applications, 200),
    "POST /v1/files": (upload, 200),
    "GET /v1/files": (get("/v1/files"), 200),
    "GET /v1/files/{file_id}": (see_file, 200),
    "GET /v1/files/{file_id}/content": (read_file, 200),
    "DELETE /v1/files/{file_id}": (delete_file, 200),
    "POST /v1/batches": (create, 200),
    "GET /v1/batches": (get("/v1/batches"), 200),
    "GET /v1/batches/{batch_id}": (see_batch, 200),
    "POST /v1/batches/{batch_id}/cancel": (cancel_batch, 200),
    # The whole way of a learning run is in test_learning.py, here is that the routes are there.
    "POST /v1/learning/runs": (post("/v1/learning/runs", {"from_log": {}}), 400),
    "GET /v1/learning/runs": (get("/v1/learning/runs"), 200),
    "GET /v1/learning/runs/{run_id}": (get("/v1/learning/runs/lrn_0"), 404),
    "POST /v1/learning/runs/{run_id}/start": (post("/v1/learning/runs/lrn_0/start"), 404),
    "POST /v1/learning/runs/{run_id}/cancel": (post("/v1/learning/runs/lrn_0/cancel"), 404),
    "POST /v1/learning/runs/{run_id}/fit": (post("/v1/learning/runs/lrn_0/fit"), 404),
    "GET /v1/learning/runs/{run_id}/unconfirmed": (
        get("/v1/learning/runs/lrn_0/unconfirmed"),
        404,
    ),
    "POST /v1/learning/runs/{run_id}/marks": (
        post("/v1/learning/runs/lrn_0/marks", {"marks": [MARK]}),
        404,
    ),
    "DELETE /v1/learning/runs/{run_id}": (
        lambda web: web.http.delete("/v1/learning/runs/lrn_0"),
        404,
    ),
    "GET /v1/router/versions": (get("/v1/router/versions"), 200),
    "GET /v1/router/versions/{version}": (get("/v1/router/versions/rtr_0"), 404),
    "POST /v1/router/versions/{version}/shadow": (post("/v1/router/versions/rtr_0/shadow"), 404),
    "POST /v1/router/versions/{version}/promote": (
        post("/v1/router/versions/rtr_0/promote", {}),
        404,
    ),
    "POST /v1/router/rollback": (post("/v1/router/rollback", {}), 409),
    "GET /v1/engines": (get("/v1/engines"), 200),
    # Engines are processes; what they do is in test_experts.py, here is that the routes are there.
    "POST /v1/engines/{name}/restart": (post("/v1/engines/none/restart"), 404),
    "GET /v1/engines/{name}/tokens": (get("/v1/engines/none/tokens"), 404),
    "GET /v1/alarms": (get("/v1/alarms"), 200),
    "POST /v1/alarms/{alarm_id}/close": (close_alarm, 200),
    # Versions are fitted by learning runs; test_shadow.py judges one.
    "POST /v1/router/versions/{version}/evaluate": (
        post("/v1/router/versions/rtr_none/evaluate"),
        404,
    ),
    "GET /healthz": (get("/healthz"), 200),
    "GET /readyz": (get("/readyz"), 200),
    "GET /metrics": (get("/metrics"), 200),
    "GET /": (get("/"), 200),
    "GET /docs": (get("/docs"), 200),
}


def test_every_documented_route_is_exercised() -> None:
    """And no other."""
    assert [unquoted(row[0]) for row in rows("Endpoint")] == list(ROUTES)


@pytest.mark.parametrize("route", ROUTES)
async def test_a_route_does_what_it_is_for(web: Web, route: str) -> None:
    """By the method and the path that are documented."""
    ask, status = ROUTES[route]
    answer = await ask(web)
    method, path = route.split()
    wanted = re.sub(r"\{[\w:]+\}", "[^/]+", path)
    assert answer.request.method == method
    assert re.fullmatch(wanted, answer.request.url.path)
    assert answer.status_code == status, answer.text


# --- errors ---


@dataclass(frozen=True)
class Case:
    """A request that is answered with an error, and the service that answers it."""

    ask: Ask
    settings: Mapping[str, Any] = field(default_factory=dict)


def raised_by(expert: str, error: Exception, **fields: Any) -> Ask:
    """A chat whose expert fails so."""

    async def ask(web: Web) -> httpx.Response:
        web.experts[expert].refuses = error
        return await web.chat("sql 1", **{"model": expert, **fields})

    return ask


async def full_disk(web: Web) -> httpx.Response:
    (web.parts.settings.data_dir / "files").write_bytes(b"in the way")
    return await upload(web)


async def no_table(web: Web) -> httpx.Response:
    async with web.parts.database.transaction() as session:
        await session.execute(text("DROP TABLE batches"))
    return await web.http.get("/v1/batches")


async def not_started(web: Web) -> httpx.Response:
    await web.parts.background.finish()
    return await web.chat("sql 1")


async def cancel_twice(web: Web) -> httpx.Response:
    answer = await cancel_batch(web)
    while answer.status_code == 200:
        answer = await web.http.post(f"/v1/batches/{answer.json()['id']}/cancel")
    return answer


async def remove_with_guests(web: Web) -> httpx.Response:
    await web.parts.registry.register(Expert("host", "engine", "host", engine="host"))
    await web.parts.registry.register(Expert("guest", "lora", "guest", engine="host", adapter="/a"))
    return await web.http.delete("/v1/experts/host")


async def spend_the_budget(web: Web) -> httpx.Response:
    web.experts["sql"].usage = {"prompt_tokens": 7, "completion_tokens": 1_000_000}
    panel = {"layers": 2, "aggregator": "lists"}
    routing = {"k": 2, "max_cost_usd": 0.5, "panel": panel}
    return await web.chat("sql 1", model="collegium/moa", routing=routing)


async def exhaust_a_job(web: Web) -> httpx.Response:
    """The mean fits, what the answer may cost does not."""
    batch, _ = await done(web, [json.dumps(LINE)], routing={"max_cost_usd": 1e-4})
    (failed,) = await results(web, batch["error_file_id"])
    response = failed["response"]
    return httpx.Response(response["status_code"], json=response["body"])


async def spend_an_application(web: Web) -> httpx.Response:
    error = errors.ApplicationBudgetSpent("has spent its budget")
    error.retry_after_s = 60
    return await raised_by("sql", error)(web)


async def guess_keys(web: Web) -> httpx.Response:
    for guess in range(31):
        headers = {"authorization": f"Bearer guess-{guess}"}
        answer = await web.http.get("/v1/models", headers=headers)
    return answer


async def ask_while_it_ends(web: Web) -> httpx.Response:
    web.parts.draining.begun = True
    try:
        return await web.chat()
    finally:
        web.parts.draining.begun = False


QUORUM = {"model": "collegium/vote", "routing": {"k": 2, "panel": {"quorum": 2}}}
KEYS = {"api_key": "the-administrators-key", "caller_keys": {"caller": "a-callers-key"}}
CALLER = {"authorization": "Bearer a-callers-key"}
NOT_LOADED = {"ready": False, "encoder": "static"}
ERRORS: dict[str, Case] = {
    "CollegiumError": Case(raised_by("sql", ZeroDivisionError())),
    "SetupError": Case(full_disk),
    "DatabaseUnavailable": Case(no_table),
    "ModelPackageMissing": Case(not_started, NOT_LOADED),
    "BadRequest": Case(lambda web: web.chat(temperature="hot")),
    "Unauthorized": Case(get("/v1/models"), KEYS),
    "Forbidden": Case(lambda web: web.http.delete("/v1/experts/sql", headers=CALLER), KEYS),
    "TooManyWrongKeys": Case(guess_keys, KEYS),
    "UnknownModel": Case(lambda web: web.chat(model="gtp")),
    "UnknownDecision": Case(get("/v1/decisions/dec_0")),
    "UnknownPreferred": Case(prefer_nobody),
    "UnknownFile": Case(get("/v1/files/file-0")),
    "UnknownBatch": Case(get("/v1/batches/batch_0")),
    "UnknownAlarm": Case(post("/v1/alarms/alm_0/close", {})),
    "BatchEnded": Case(cancel_twice),
    "UnknownLearningRun": Case(get("/v1/learning/runs/lrn_0")),
    "LearningRefused": Case(lambda web: web.http.post("/v1/router/rollback", json={})),
    "UnknownRouterVersion": Case(get("/v1/router/versions/rtr_0")),
    "PromptTooLong": Case(raised_by("sql", errors.PromptTooLong("too long", "messages"))),
    "NoFeasibleExpert": Case(lambda web: web.chat(routing={"max_latency_ms": 0.001})),
    "BudgetSpent": Case(spend_the_budget),
    "BudgetExhausted": Case(exhaust_a_job),
    "ApplicationBudgetSpent": Case(spend_an_application),
    "RegistryError": Case(remove_with_guests),
    "ExpertExists": Case(post("/v1/experts", {**NEW, "name": "sql"})),
    "ExpertNotFound": Case(lambda web: web.http.delete("/v1/experts/nobody")),
    "EngineNotFound": Case(post("/v1/engines/none/restart")),
    "ApplicationNotFound": Case(get("/v1/applications/none")),
    "ProbeFailed": Case(post("/v1/experts", {**NEW, "name": "a b"})),
    "ShuttingDown": Case(ask_while_it_ends),
    "ArtifactRejected": Case(not_started, {**NOT_LOADED, "router_dir": Path("/nowhere")}),
    "ExpertError": Case(raised_by("sql", errors.ExpertError("sql", "broke"))),
    "ExpertUnavailable": Case(raised_by("sql", errors.ExpertUnavailable("sql", "is down"))),
    "ExpertBusy": Case(raised_by("sql", errors.ExpertBusy("sql", "is full"))),
    "ExpertTimeout": Case(raised_by("sql", errors.ExpertTimeout("sql", "was late"))),
    "QuorumMissed": Case(raised_by("general", errors.ExpertError("general", "broke"), **QUORUM)),
    "ExpertRejected": Case(raised_by("sql", errors.ExpertRejected("sql", "no", 418))),
}


def test_every_documented_error_is_raised_or_said_to_be_none_of_the_apis() -> None:
    """By its class, in the table's order."""
    documented = {unquoted(row[0]): row[3] for row in rows("Error")}
    answers = [name for name, when in documented.items() if not when.startswith(NEVER_AN_ANSWER)]
    assert answers == list(ERRORS)


@pytest.mark.parametrize("name", ERRORS)
async def test_an_error_has_its_status_and_code(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Those that are documented, in OpenAI's shape; 429 and 503 say when to come again."""
    if name == "ModelPackageMissing":
        monkeypatch.setattr(embedded, "find_spec", lambda _: None)
    case = ERRORS[name]
    async with serve(**case.settings) as web:
        answer = await case.ask(web)
    _, status, code, _ = next(row for row in rows("Error") if unquoted(row[0]) == name)
    assert re.fullmatch(status.replace("x", r"\d"), str(answer.status_code)), answer.text
    body = answer.json()
    assert body.keys() == {"error"}
    error = body["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["code"] == unquoted(code) == getattr(errors, name).code
    assert error["message"]
    assert (error["type"] == "server_error") == (answer.status_code >= 500)
    assert ("retry-after" in answer.headers) == (answer.status_code in (429, 503))


FURTHER: dict[str, tuple[Ask, int]] = {
    "invalid_json": (
        lambda web: web.http.post(
            "/v1/route", content=b"{", headers={"content-type": "application/json"}
        ),
        400,
    ),
    "body_too_large": (lambda web: web.http.post("/v1/route", content=b"x" * 9 * 2**20), 413),
    "http_error": (get("/v1/nothing"), 404),
}


def test_every_further_code_is_exercised() -> None:
    """The sentence after the table lists them."""
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    (sentence,) = re.findall(r"^Further codes: (.*)$", page, re.MULTILINE)
    assert re.findall(r"`(\w+)`", sentence) == list(FURTHER)


@pytest.mark.parametrize("code", FURTHER)
async def test_a_further_code_has_its_status(web: Web, code: str) -> None:
    """In the same shape."""
    ask, status = FURTHER[code]
    answer = await ask(web)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_no_other_module_of_the_web_invents_codes() -> None:
    """All are of the tree, or among the further ones."""
    found = {error.code for error in subclasses(CollegiumError)}
    documented = {unquoted(row[2]) for row in rows("Error")}
    assert found <= documented | set(FURTHER)


def subclasses(of: type[CollegiumError]) -> list[type[CollegiumError]]:
    """A class and all that derive from it."""
    return [of, *(other for direct in of.__subclasses__() for other in subclasses(direct))]
