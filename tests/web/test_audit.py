"""The audit log: every change that is not a caller's own leaves a line, done or refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from fastapi.routing import APIRoute

from tests.web.access import ADMIN, CALLER, KEYS, bearer
from tests.web.conftest import Serve, Web

READING = {"GET", "HEAD", "OPTIONS"}
OF_CALLERS = {
    ("POST", "/v1/route"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/completions"),
    ("POST", "/v1/responses"),
    ("DELETE", "/v1/responses/{response_id}"),
    ("POST", "/v1/responses/input_tokens"),
    ("POST", "/v1/messages"),
    ("POST", "/v1/messages/count_tokens"),
    ("POST", "/v1/embeddings"),
    ("POST", "/v1/rerank"),
    ("POST", "/v1/feedback"),
    ("POST", "/v1/feedback/bulk"),
    ("POST", "/v1/files"),
    ("DELETE", "/v1/files/{file_id}"),
    ("POST", "/v1/batches"),
    ("POST", "/v1/batches/{batch_id}/cancel"),
}
"""All that callers do with models and with what is theirs. Every other change is to be recorded."""


def changing(web: Web) -> Iterator[tuple[str, str]]:
    """The method and the path of every route that is not for reading."""
    for route in web.app.routes:
        if isinstance(route, APIRoute):
            for method in sorted(route.methods - READING):
                yield method, route.path


def recorded(web: Web) -> list[Any]:
    """The entries so far."""
    file = web.parts.settings.data_dir / "logs" / "audit.jsonl"
    if not file.is_file():
        return []
    return [json.loads(line) for line in file.read_text().splitlines()]


async def test_every_route_that_changes_something_is_recorded(serve: Serve) -> None:
    """A new route is, too, unless it is added to those of callers here."""
    found: set[tuple[str, str]] = set()
    silent: set[tuple[str, str]] = set()
    async with serve(**KEYS) as web:
        for method, path in changing(web):
            before = len(recorded(web))
            url = re.sub(r"{[^}]*}", "none", path)
            await web.http.request(method, url, headers=bearer(ADMIN), json={})
            entries = [(e["method"], e["path"]) for e in recorded(web)[before:]]
            assert entries in ([], [(method, url)])
            (found if entries else silent).add((method, path))
    assert silent == OF_CALLERS
    assert {("PUT", "/v1/budgets"), ("DELETE", "/v1/budgets"), ("DELETE", "/v1/cache")} <= found


async def test_limits_and_the_cache_are_recorded_done_or_refused(serve: Serve) -> None:
    """With who, what and the status."""
    limit = {"scope": "key", "name": "shop", "metric": "requests", "window": "day", "amount": 5}
    async with serve(**KEYS) as web:
        await web.http.put("/v1/budgets", json=limit, headers=bearer(ADMIN))
        await web.http.delete("/v1/budgets?scope=key&name=shop", headers=bearer(ADMIN))
        await web.http.delete("/v1/cache", headers=bearer(ADMIN))
        await web.http.delete("/v1/cache", headers=bearer(CALLER))
        entries = recorded(web)
    assert [(e["caller"], e["method"], e["path"], e["status"]) for e in entries] == [
        ("api_key", "PUT", "/v1/budgets", 200),
        ("api_key", "DELETE", "/v1/budgets", 200),
        ("api_key", "DELETE", "/v1/cache", 200),
        ("shop", "DELETE", "/v1/cache", 403),
    ]
    assert json.loads(entries[0]["body"]) == limit
    assert entries[1]["query"] == "scope=key&name=shop"


async def test_a_prompt_that_went_to_a_wrong_path_is_not_recorded(serve: Serve) -> None:
    """Nothing was changed or refused: there is nothing at the path, or not by the method."""
    prompt = {"messages": [{"role": "user", "content": "a secret"}]}
    async with serve(**KEYS) as web:
        for path, status in (("/v1/chat/completion", 404), ("/v1/models", 405)):
            answer = await web.http.post(path, json=prompt, headers=bearer(ADMIN))
            assert answer.status_code == status
        assert recorded(web) == []
        gone = await web.http.delete("/v1/experts/none", headers=bearer(ADMIN))
        assert gone.status_code == 404
        assert [e["path"] for e in recorded(web)] == ["/v1/experts/none"]
