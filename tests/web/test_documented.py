"""Every route of docs/api.md, each with a request that shows it.

The table of requests here is compared with that of the documentation: what is documented is
exercised, and nothing else is.
"""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from collegium.registry.learning.alarms import Alarm
from tests.web.conftest import Web
from tests.web.documented import (
    LINE,
    NEW,
    Ask,
    batch,
    cancel_batch,
    create,
    decision,
    file,
    get,
    post,
    rows,
    unquoted,
    upload,
)


async def rate(web: Web) -> httpx.Response:
    body = {"decision_id": await decision(web), "verdict": "good_fit"}
    return await web.http.post("/v1/feedback", json=body)


async def probe_an_expert(web: Web) -> httpx.Response:
    await web.http.post("/v1/experts", json=NEW)
    return await web.http.post(f"/v1/experts/{NEW['name']}/probe")


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


async def close_alarm(web: Web) -> httpx.Response:
    alarm = Alarm("canary", "an alarm")
    await web.parts.alarms.raise_(alarm)
    return await web.http.post(f"/v1/alarms/{alarm.id}/close", json={})


QUESTION: Any = LINE["body"]
MARK = {"number": 0, "expert": "sql", "score": 1.0}
LIMIT = {"scope": "key", "name": "ada", "metric": "usd", "window": "day", "amount": 5}
ROUTES: dict[str, tuple[Ask, int]] = {
    "POST /v1/chat/completions": (post("/v1/chat/completions", QUESTION), 200),
    # What is kept of responses is in test_stored_responses.py, here nothing is.
    "POST /v1/responses": (post("/v1/responses", {"input": "sql 1"}), 200),
    "POST /v1/responses/input_tokens": (
        post("/v1/responses/input_tokens", {"input": "sql 1"}),
        200,
    ),
    "GET /v1/responses/{response_id}": (get("/v1/responses/resp_0"), 404),
    "GET /v1/responses/{response_id}/input_items": (get("/v1/responses/resp_0/input_items"), 404),
    "DELETE /v1/responses/{response_id}": (
        lambda web: web.http.delete("/v1/responses/resp_0"),
        404,
    ),
    "POST /v1/completions": (post("/v1/completions", {"model": "sql", "prompt": "sql 1"}), 200),
    "POST /v1/messages": (post("/v1/messages", {**QUESTION, "max_tokens": 9}), 200),
    "POST /v1/messages/count_tokens": (post("/v1/messages/count_tokens", QUESTION), 200),
    "POST /v1/route": (post("/v1/route", QUESTION), 200),
    "POST /v1/embeddings": (post("/v1/embeddings", {"input": "sql 1"}), 200),
    "POST /v1/rerank": (post("/v1/rerank", {"query": "a", "documents": ["b"]}), 400),
    "GET /v1/models": (get("/v1/models"), 200),
    "GET /v1/models/{model:path}": (get("/v1/models/sql"), 200),
    "POST /v1/feedback": (rate, 200),
    "POST /v1/feedback/bulk": (post("/v1/feedback/bulk", []), 200),
    "GET /v1/decisions": (get("/v1/decisions"), 200),
    "GET /v1/decisions/{decision_id}": (see_decision, 200),
    "DELETE /v1/decisions": (
        lambda web: web.http.delete("/v1/decisions", params={"session": "s1"}),
        200,
    ),
    "DELETE /v1/decisions/{decision_id}": (delete_decision, 200),
    "GET /v1/usage": (get("/v1/usage?by=day&by=expert"), 200),
    "GET /v1/usage/comparison": (get("/v1/usage/comparison"), 200),
    "GET /v1/caller": (get("/v1/caller"), 200),
    # Keys need the setting api_key; what they do is in test_keys.py.
    "GET /v1/keys": (get("/v1/keys"), 200),
    "POST /v1/keys": (post("/v1/keys", {"name": "anna"}), 409),
    "GET /v1/keys/{key}": (get("/v1/keys/anna"), 404),
    "PATCH /v1/keys/{key}": (lambda web: web.http.patch("/v1/keys/anna", json={}), 404),
    "POST /v1/keys/{key}/rotate": (post("/v1/keys/anna/rotate", {}), 404),
    "POST /v1/keys/{key}/revoke": (post("/v1/keys/anna/revoke"), 404),
    "GET /v1/teams": (get("/v1/teams"), 200),
    "POST /v1/teams": (post("/v1/teams", {"name": "search"}), 201),
    "GET /v1/teams/{team}": (get("/v1/teams/search"), 404),
    "PATCH /v1/teams/{team}": (lambda web: web.http.patch("/v1/teams/search", json={}), 404),
    "DELETE /v1/teams/{team}": (lambda web: web.http.delete("/v1/teams/search"), 404),
    "GET /v1/experts": (get("/v1/experts"), 200),
    "GET /v1/experts/status": (get("/v1/experts/status"), 200),
    "GET /v1/experts/{name}": (get("/v1/experts/sql"), 200),
    "POST /v1/experts": (post("/v1/experts", NEW), 201),
    "PATCH /v1/experts/{name}": (
        lambda web: web.http.patch("/v1/experts/sql", json={"description": "changed"}),
        200,
    ),
    "POST /v1/experts/{name}/probe": (probe_an_expert, 200),
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
    "GET /v1/budgets": (get("/v1/budgets"), 200),
    "PUT /v1/budgets": (lambda web: web.http.put("/v1/budgets", json=LIMIT), 200),
    "DELETE /v1/budgets": (
        lambda web: web.http.delete("/v1/budgets", params={"scope": "key", "name": "nobody"}),
        400,
    ),
    "GET /v1/cache": (get("/v1/cache"), 200),
    "DELETE /v1/cache": (lambda web: web.http.delete("/v1/cache"), 200),
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
    "GET /console": (get("/console"), 200),
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
