"""What each role may do: every cell of the guide's table, on every route that there is."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from tests.web.bulk import line
from tests.web.conftest import Serve, until
from tests.web.keyed import PEOPLE, Keyed, keyed

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "keys.md"
COLUMNS = ("operator", "team-lead", "caller", "read-only, no team", "read-only, of a team")
WHO = dict(zip(COLUMNS, ("root", "lead", "anna", "audit", "view"), strict=True))
"""Who stands for each column."""
SEEN = {
    "all": {"root", "lead", "anna", "ben"},
    "the team's": {"lead", "anna"},
    "its own": {"anna"},
}
"""Whose rows somebody of the team "search" sees."""


def rows() -> Iterator[tuple[list[str], dict[str, str]]]:
    """The table's rows: patterns of routes, and the cells by column."""
    lines = GUIDE.read_text(encoding="utf-8").splitlines()
    start = next(i for i, text in enumerate(lines) if text.startswith("| Routes |"))
    assert [c.strip() for c in lines[start].strip("|").split("|")[1:]] == list(COLUMNS)
    for text in lines[start + 2 :]:
        if not text.startswith("|"):
            return
        cells = [cell.strip() for cell in text.strip("|").split("|")]
        yield re.findall(r"`([^`]+)`", cells[0]), dict(zip(COLUMNS, cells[1:], strict=True))


def routes(app: FastAPI) -> list[tuple[str, str]]:
    """Methods and paths that want a key."""
    return [
        (method, route.path)
        for route in app.routes
        if isinstance(route, APIRoute) and route.path.startswith(("/v1/", "/metrics"))
        for method in sorted(route.methods or ())
    ]


def cells_of(method: str, path: str) -> dict[str, str]:
    """The one row that a route is in."""
    bare = re.sub(r"\{[^}]*\}", "x", path)
    found = [
        cells
        for patterns, cells in rows()
        if any(fnmatchcase(f"{method} {bare}", pattern) for pattern in patterns)
    ]
    assert len(found) == 1, f"{method} {path} is in {len(found)} rows of the table"
    return found[0]


@pytest.fixture
async def service(serve: Serve) -> AsyncIterator[Keyed]:
    """A service with a caller of each role."""
    async with keyed(serve) as found:
        yield found


def test_every_route_is_in_the_table(usual_app: FastAPI) -> None:
    """Once; a route that is added has to be decided about. No row is of nothing."""
    all_routes = routes(usual_app)
    for method, path in all_routes:
        cells_of(method, path)
    bare = [f"{method} {re.sub(r'{[^}]*}', 'x', path)}" for method, path in all_routes]
    patterns = [pattern for found, _ in rows() for pattern in found]
    assert [p for p in patterns if not any(fnmatchcase(b, p) for b in bare)] == []


@pytest.mark.parametrize("column", COLUMNS)
async def test_no_route_answers_a_role_that_it_should_not(service: Keyed, column: str) -> None:
    """403 wherever the table says no, and nowhere else; without a key always 401."""
    for method, path in routes(service.web.app):
        bare = re.sub(r"\{[^}]*\}", "nothing", path)
        body: dict[str, Any] = {} if method in ("GET", "DELETE") else {"json": {}}
        answer = await service.send(WHO[column], method, bare, **body)
        refused = cells_of(method, path)[column] == "no"
        assert (answer.status_code == 403) == refused, f"{method} {path}: {answer.text}"
        assert answer.status_code not in (401, 429, 500), f"{method} {path}: {answer.text}"
        nobody = await service.web.http.request(method, bare, **body)
        assert nobody.status_code == 401, f"{method} {path}"


async def made_by(service: Keyed, who: str) -> dict[str, str]:
    """One row of each kind: what the places in paths are called, and the ids."""
    decision = (await service.ask(who, model="sql")).json()["collegium"]["decision"]["id"]
    response = await service.send(
        who, "POST", "/v1/responses", json={"model": "sql", "input": "sql 1"}
    )
    files = {"file": ("in.jsonl", line("a").encode())}
    file = await service.send(who, "POST", "/v1/files", files=files, data={"purpose": "batch"})
    body = {"input_file_id": file.json()["id"], "endpoint": "/v1/chat/completions"}
    batch = await service.send(who, "POST", "/v1/batches", json=body)
    await service.web.parts.background.finish()
    return {
        "decision_id": decision,
        "response_id": response.json()["id"],
        "file_id": file.json()["id"],
        "batch_id": batch.json()["id"],
        "key": who,
    }


async def ended(service: Keyed, batch: str) -> bool:
    """Whether a bulk job has ended."""
    found = await service.send("root", "GET", f"/v1/batches/{batch}")
    return found.json()["status"] in ("completed", "failed", "cancelled")


@pytest.fixture
async def rows_of(service: Keyed) -> dict[str, dict[str, str]]:
    """What four owners have made."""
    made = {who: await made_by(service, who) for who in sorted(SEEN["all"])}
    for each in made.values():
        batch = each["batch_id"]

        async def over(batch: str = batch) -> bool:
            return await ended(service, batch)

        await until(over)
    return made


@pytest.mark.parametrize("column", COLUMNS)
async def test_others_rows_do_not_exist(
    service: Keyed, rows_of: dict[str, dict[str, str]], column: str
) -> None:
    """Those outside of the table's cell are 404, on every route that has one in its path."""
    tried = set()
    for method, path in routes(service.web.app):
        whose, place = cells_of(method, path)[column], re.search(r"\{(\w+)\}", path)
        if whose not in SEEN or place is None or place[1] not in rows_of["anna"]:
            continue
        if method == "DELETE" or (method != "GET" and place[1] == "key"):
            continue  # below
        tried.add(path)
        for who, row in rows_of.items():
            body: dict[str, Any] = {} if method == "GET" else {"json": {}}
            there = path.replace(place[0], row[place[1]])
            answer = await service.send(WHO[column], method, there, **body)
            exists = answer.status_code != 404
            assert exists == (who in SEEN[whose]), f"{method} {path} of {who}: {answer.text}"
    assert len(tried) == (8 if "read-only" not in column else 7)


@pytest.mark.parametrize("column", COLUMNS)
async def test_lists_have_no_others_rows(
    service: Keyed, rows_of: dict[str, dict[str, str]], column: str
) -> None:
    """What the table's cell says, and all of it."""
    for path, place in (
        ("/v1/decisions", "decision_id"),
        ("/v1/files", "file_id"),
        ("/v1/batches", "batch_id"),
        ("/v1/keys", "key"),
    ):
        listed = (await service.send(WHO[column], "GET", path)).json()["data"]
        ids = {row["name"] if place == "key" else row["id"] for row in listed}
        whose = cells_of("GET", path)[column]
        assert {who for who, row in rows_of.items() if row[place] in ids} == SEEN[whose], path


@pytest.mark.parametrize("column", ["operator", "team-lead"])
async def test_others_keys_are_not_changed(service: Keyed, column: str) -> None:
    """Another team's do not exist for a lead; colleagues above the role are 403."""
    seen = SEEN[cells_of("POST", "/v1/keys/{key}/revoke")[column]]
    for who in ("anna", "ben"):
        for method, path, body in (
            ("PATCH", f"/v1/keys/{who}", {"description": "new"}),
            ("POST", f"/v1/keys/{who}/rotate", {}),
            ("POST", f"/v1/keys/{who}/revoke", {}),
        ):
            answer = await service.send(WHO[column], method, path, json=body)
            assert answer.status_code == (200 if who in seen else 404), f"{method} {path}"


@pytest.mark.parametrize("column", ["operator", "team-lead", "caller"])
async def test_others_rows_are_not_deleted(
    service: Keyed, rows_of: dict[str, dict[str, str]], column: str
) -> None:
    """What exists for the role goes, the rest stays."""
    for place, path in (
        ("response_id", "/v1/responses"),
        ("file_id", "/v1/files"),
        ("decision_id", "/v1/decisions"),
    ):
        seen = SEEN[cells_of("DELETE", f"{path}/x")[column]]
        for who, row in rows_of.items():
            answer = await service.send(WHO[column], "DELETE", f"{path}/{row[place]}")
            assert answer.status_code == (200 if who in seen else 404), f"{path} of {who}"
    left = await service.send("api_key", "GET", "/v1/decisions")
    owners = {row["decision"]["owner"] for row in left.json()["data"]}
    assert owners >= SEEN["all"] - seen


async def test_many_are_deleted_within_the_scope_alone(
    service: Keyed, rows_of: dict[str, dict[str, str]]
) -> None:
    """A lead who deletes everything deletes the team's; of others' it may not even ask."""
    assert rows_of
    later = "before=2999-01-01T00:00:00Z"
    for query in ("owner=ben", f"owner=ben&{later}", "owner="):
        refused = await service.send("lead", "DELETE", f"/v1/decisions?{query}")
        assert refused.status_code == 403
    assert (await service.send("lead", "DELETE", f"/v1/decisions?{later}")).json()["deleted"] > 0
    left = await service.send("api_key", "GET", "/v1/decisions")
    assert {row["decision"]["owner"] for row in left.json()["data"]} == {"root", "ben"}


async def test_teams_are_seen_by_their_own(service: Keyed) -> None:
    """And by who sees all."""
    for who, (role, team) in PEOPLE.items():
        everything = role == "operator" or team is None
        seen = await service.send(who, "GET", "/v1/teams")
        names = [each["name"] for each in seen.json()["data"]]
        assert names == (["search", "support"] if everything else [team])
        for name in ("search", "support"):
            one = await service.send(who, "GET", f"/v1/teams/{name}")
            assert one.status_code == (200 if everything or name == team else 404)


async def test_a_lead_makes_and_changes_its_teams_keys(service: Keyed) -> None:
    """Of the roles below its own; no key of another team, and no lead."""
    made = await service.make("new", by="lead")
    assert (made["team"], made["role"], made["created_by"]) == ("search", "caller", "lead")
    for body in (
        {"name": "a", "role": "operator"},
        {"name": "a", "role": "team-lead"},
        {"name": "a", "team": "support"},
    ):
        refused = await service.send("lead", "POST", "/v1/keys", json=body)
        assert refused.status_code == 403
    for role in ("operator", "team-lead"):
        raised = await service.send("lead", "PATCH", "/v1/keys/anna", json={"role": role})
        assert raised.status_code == 403
    own = [
        ("PATCH", "/v1/keys/lead", {"role": "read-only"}, 403),
        ("POST", "/v1/keys/lead/revoke", {}, 403),
        ("POST", "/v1/keys/lead/rotate", {"overlap_s": 60}, 200),
    ]
    for method, path, changes, status in own:
        answer = await service.send("lead", method, path, json=changes)
        assert answer.status_code == status, path


async def test_refused_changes_are_recorded(service: Keyed) -> None:
    """Whoever tried, and whichever part of the service refused."""
    for who in ("view", "anna", "lead"):
        refused = await service.send(who, "POST", "/v1/teams", json={"name": "own"})
        assert refused.status_code == 403
    audit = service.web.parts.settings.data_dir / "logs" / "audit.jsonl"
    entries: list[Any] = [json.loads(text) for text in audit.read_text().splitlines()]
    told = [(each["caller"], each["path"], each["status"]) for each in entries[-3:]]
    assert told == [(who, "/v1/teams", 403) for who in ("view", "anna", "lead")]


async def test_a_lead_speaks_for_itself_alone(service: Keyed) -> None:
    """It neither rates a colleague's answers nor goes on with a colleague's response."""
    asked = (await service.ask("anna")).json()["collegium"]["decision"]["id"]
    await service.web.parts.background.finish()
    rating = {"decision_id": asked, "verdict": "good_fit"}
    assert (await service.send("lead", "POST", "/v1/feedback", json=rating)).status_code == 404
    assert (await service.send("root", "POST", "/v1/feedback", json=rating)).status_code == 200
    body = {"model": "sql", "input": "sql 1"}
    first = (await service.send("anna", "POST", "/v1/responses", json=body)).json()["id"]
    await service.web.parts.background.finish()
    further = body | {"previous_response_id": first}
    assert (await service.send("lead", "POST", "/v1/responses", json=further)).status_code == 404
    assert (await service.send("lead", "GET", f"/v1/responses/{first}")).status_code == 200
