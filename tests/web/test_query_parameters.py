"""Query parameters that are not known are refused: a misspelt filter must not widen a list."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from tests.web.conftest import Web, on_shared


def listed(app: FastAPI) -> list[str]:
    """The paths that can be read, each with names in the place of its parameters."""
    routes = [r for r in app.routes if isinstance(r, APIRoute) and "GET" in (r.methods or ())]
    paths = {r.path.replace("{", "").replace("}", "").replace(":path", "") for r in routes}
    return sorted(path for path in paths if path.startswith("/v1/"))


@on_shared
async def test_no_path_takes_a_parameter_that_it_does_not_know(shared: Web) -> None:
    """400, with its name, whether or not the row exists; those of known clients are passed over."""
    paths = [path for path in listed(shared.app) if not path.startswith("/v1/models")]
    assert len(paths) >= 20
    for path in paths:
        refused = await shared.http.get(path, params={"no_such": "1"})
        error = refused.json()["error"]
        assert (refused.status_code, error["param"]) == (400, "no_such"), path
        assert "'no_such'" in error["message"]
        for passed_over in ("api-version", "beta", "include[]"):
            answer = await shared.http.get(path, params={passed_over: "1"})
            assert answer.status_code in (200, 404), (path, answer.text)


@on_shared
@pytest.mark.parametrize(
    ("path", "given", "meant"),
    [
        ("/v1/decisions", "aplication", "application"),
        ("/v1/usage", "expert_", "expert"),
        ("/v1/files", "purpos", "purpose"),
        ("/v1/keys", "teams", "team"),
        ("/v1/learning/runs", "limits", "limit"),
    ],
)
async def test_a_misspelt_filter_is_named(shared: Web, path: str, given: str, meant: str) -> None:
    """With the one that was probably meant."""
    message = (await shared.http.get(path, params={given: "1"})).json()["error"]["message"]
    assert f"Did you mean '{meant}'?" in message


@on_shared
@pytest.mark.parametrize(
    ("path", "given", "meant"),
    [
        ("/v1/experts/sql", "with_preset", "with_presets"),
        ("/v1/budgets", "metrics", "metric"),
        ("/v1/cache", "expert", None),
        ("/v1/teams/nobody", "force", None),
    ],
)
async def test_nothing_is_deleted_by_a_misspelt_parameter(
    shared: Web, path: str, given: str, meant: str | None
) -> None:
    """What it should have limited would be deleted as well."""
    refused = await shared.http.delete(path, params={given: "1"})
    error = refused.json()["error"]
    assert (refused.status_code, error["param"]) == (400, given)
    assert (f"Did you mean '{meant}'?" in error["message"]) == (meant is not None)
    experts = (await shared.http.get("/v1/experts")).json()["data"]
    assert "sql" in [expert["name"] for expert in experts]


@on_shared
async def test_parameters_of_known_clients_may_go_with_a_deletion(shared: Web) -> None:
    """Anthropic's and Azure's send them with each request."""
    for given in ("beta", "api-version"):
        answer = await shared.http.delete("/v1/files/file-0", params={given: "1"})
        assert answer.status_code == 404


@on_shared
async def test_paths_that_select_nothing_take_anything(shared: Web) -> None:
    """Monitoring and clients add their own, such as Codex's `client_version`."""
    for path in ("/healthz", "/readyz", "/metrics", "/v1/models", "/v1/models/sql"):
        assert (await shared.http.get(path, params={"no_such": "1"})).status_code == 200


@on_shared
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/experts", {"name": "new", "kind": "openai", "base_url": "http://h/v1"}),
        ("POST", "/v1/experts/sql/probe", None),
        ("PATCH", "/v1/experts/sql", {"enabled": False}),
        ("POST", "/v1/keys", {"name": "anna"}),
        ("POST", "/v1/teams", {"name": "search"}),
        ("PATCH", "/v1/applications/desk", {"name": "Desk"}),
        ("PUT", "/v1/budgets", {"scope": "key", "name": "anna", "metric": "usd", "limit": 1}),
        ("POST", "/v1/feedback", {"decision_id": "dec_0", "verdict": "failed"}),
        ("POST", "/v1/learning/runs", {}),
        ("POST", "/v1/router/rollback", None),
        ("POST", "/v1/alarms/alm_0/close", {}),
    ],
)
async def test_nothing_of_our_own_is_changed_with_an_unknown_parameter(
    shared: Web, method: str, path: str, body: Any
) -> None:
    """Whoever sends `dry_run` would believe that nothing happened."""
    refused = await shared.http.request(method, path, params={"dry_run": "1"}, json=body)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "dry_run")
    assert (await shared.http.get("/v1/experts/sql")).json()["enabled"]


@on_shared
@pytest.mark.parametrize(
    "path",
    [
        *("/v1/chat/completions", "/v1/messages", "/v1/messages/count_tokens", "/v1/responses"),
        *("/v1/completions", "/v1/embeddings", "/v1/rerank", "/v1/route", "/v1/files"),
        *("/v1/batches", "/v1/batches/batch_0/cancel"),
    ],
)
async def test_protocols_take_any_parameter_of_a_post(shared: Web, path: str) -> None:
    """Clients of other services send their own with each request."""
    answer = await shared.http.post(path, params={"no_such": "1"}, json={"model": "none"})
    assert "no_such" not in answer.text, answer.text
