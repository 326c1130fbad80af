"""Every error of docs/api.md, each with a request that is answered with it.

The table of requests here is compared with that of the documentation: what is documented is
exercised, and nothing else is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from collegium import errors, extras
from collegium.errors import CollegiumError
from collegium.registry.expert import Expert
from collegium.web.body_limit import MOST_HELD, BodyLimit
from tests.repository import ROOT
from tests.web.bulk import done, results
from tests.web.conftest import Serve, Web
from tests.web.documented import (
    LINE,
    NEW,
    Ask,
    cancel_batch,
    decision,
    get,
    post,
    rows,
    unquoted,
)

NEVER_AN_ANSWER = "Never returned by the API: "
"""So the documentation tells of errors that no request can meet."""


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


async def make_a_team_twice(web: Web) -> httpx.Response:
    await web.http.post("/v1/teams", json={"name": "search"})
    return await web.http.post("/v1/teams", json={"name": "search"})


async def remove_with_guests(web: Web) -> httpx.Response:
    await web.parts.registry.register(Expert("host", "engine", "host", engine="host"))
    await web.parts.registry.register(Expert("guest", "lora", "guest", engine="host", adapter="/a"))
    return await web.http.delete("/v1/experts/host")


async def prefer_nobody(web: Web) -> httpx.Response:
    body = {"decision_id": await decision(web), "preferred": "nobody"}
    return await web.http.post("/v1/feedback", json=body)


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
    """Ask until a budget that pays for some requests is spent: no retry helps a dearer one."""
    usd = 1e-6
    while (answer := await limited(web, "usd", usd)).status_code != 200:
        usd *= 2
    while answer.status_code == 200:
        await web.parts.background.finish()
        answer = await limited(web, "usd", usd)
    return answer


async def ask_too_often(web: Web) -> httpx.Response:
    await limited(web, "requests", 1)
    return await limited(web, "requests", 1)


async def set_a_limit(web: Web) -> httpx.Response:
    limit = {"scope": "application", "name": "desk", "metric": "requests", "window": "day"}
    return await web.http.put("/v1/budgets", json={**limit, "amount": 10})


async def limited(web: Web, metric: str, amount: float) -> httpx.Response:
    limit = {"scope": "application", "name": "desk", "metric": metric, "window": "day"}
    set_ = await web.http.put("/v1/budgets", json={**limit, "amount": amount})
    assert set_.status_code == 200, set_.text
    return await web.chat("sql 1", model="sql", metadata={"application": "desk"})


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


async def hold_too_much(web: Web) -> httpx.Response:
    """As if others' bodies took all the memory there is for bodies."""
    layer: Any = web.app.middleware_stack
    while not isinstance(layer, BodyLimit):
        layer = getattr(layer, "app", None) or layer._app
    layer._held += MOST_HELD
    try:
        return await web.chat()
    finally:
        layer._held -= MOST_HELD


QUORUM = {"model": "collegium/vote", "routing": {"k": 2, "panel": {"quorum": 2}}}
KEYS = {"api_key": "the-administrators-key", "caller_keys": {"caller": "a-callers-key"}}
CALLER = {"authorization": "Bearer a-callers-key"}
NOT_LOADED = {"ready": False, "encoder": "static"}
ERRORS: dict[str, Case] = {
    "CollegiumError": Case(raised_by("sql", ZeroDivisionError())),
    "SetupError": Case(raised_by("sql", errors.SetupError("its adapter is missing"))),
    "DatabaseUnavailable": Case(no_table),
    "ExtraMissing": Case(not_started, {**NOT_LOADED, "encoder": "minilm"}),
    "BadRequest": Case(lambda web: web.chat(temperature="hot")),
    "Unauthorized": Case(get("/v1/models"), KEYS),
    "Forbidden": Case(lambda web: web.http.delete("/v1/experts/sql", headers=CALLER), KEYS),
    "TooManyWrongKeys": Case(guess_keys, KEYS),
    "UnknownModel": Case(lambda web: web.chat(model="gtp")),
    "UnknownDecision": Case(get("/v1/decisions/dec_0")),
    "UnknownResponse": Case(get("/v1/responses/resp_0")),
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
    "LimitReached": Case(ask_too_often),
    "BudgetReached": Case(spend_an_application),
    "RegistryError": Case(remove_with_guests),
    "ExpertExists": Case(post("/v1/experts", {**NEW, "name": "sql"})),
    "ExpertNotFound": Case(lambda web: web.http.delete("/v1/experts/nobody")),
    "EngineNotFound": Case(post("/v1/engines/none/restart")),
    "ApplicationNotFound": Case(get("/v1/applications/none")),
    "KeyNotFound": Case(get("/v1/keys/nobody")),
    "KeyConflict": Case(post("/v1/keys", {"name": "anna"})),
    "TeamNotFound": Case(get("/v1/teams/nobody")),
    "TeamConflict": Case(make_a_team_twice),
    "ProbeFailed": Case(post("/v1/experts", {**NEW, "kind": "lora"})),
    "StateUnavailable": Case(set_a_limit, {"redis_url": "redis://127.0.0.1:1/0"}),
    "ShuttingDown": Case(ask_while_it_ends),
    "ArtifactRejected": Case(not_started, {**NOT_LOADED, "router_dir": Path("/nowhere")}),
    "ExpertError": Case(raised_by("sql", errors.ExpertError("sql", "broke"))),
    "ExpertUnavailable": Case(raised_by("sql", errors.ExpertUnavailable("sql", "is down"))),
    "ExpertMisconfigured": Case(raised_by("sql", errors.ExpertMisconfigured("sql", "has no key"))),
    "ModelGone": Case(raised_by("sql", errors.ModelGone("sql", "is gone"))),
    "ExpertBusy": Case(raised_by("sql", errors.ExpertBusy("sql", "is full"))),
    "RateLimited": Case(raised_by("sql", errors.RateLimited("sql", "is limited"))),
    "ExpertTimeout": Case(raised_by("sql", errors.ExpertTimeout("sql", "was late"))),
    "QuorumMissed": Case(raised_by("general", errors.ExpertError("general", "broke"), **QUORUM)),
    "ExpertRejected": Case(raised_by("sql", errors.ExpertRejected("sql", "no", 418))),
    "CapabilityMissing": Case(raised_by("sql", errors.CapabilityMissing("sql", "no images"))),
    "ContentRefused": Case(raised_by("sql", errors.ContentRefused("sql", "was flagged"))),
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
    if name == "ExtraMissing":
        monkeypatch.setattr(extras, "find_spec", lambda _: None)
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
    assert ("retry-after" in answer.headers) == (answer.status_code in (402, 429, 503))


FURTHER: dict[str, tuple[Ask, int]] = {
    "invalid_json": (
        lambda web: web.http.post(
            "/v1/route", content=b"{", headers={"content-type": "application/json"}
        ),
        400,
    ),
    "body_too_large": (lambda web: web.http.post("/v1/route", content=b"x" * 33 * 2**20), 413),
    "unsupported_encoding": (
        lambda web: web.http.post("/v1/route", content=b"x", headers={"content-encoding": "zstd"}),
        415,
    ),
    "bodies_too_large": (hold_too_much, 503),
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
