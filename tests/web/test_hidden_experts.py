"""A key that is limited to some experts reads the names of no others, nor of their engines."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from collegium.experts.supervisor import Supervisor
from tests.experts.engines import spec_of
from tests.web.access import HELLO
from tests.web.bulk import line
from tests.web.conftest import Serve
from tests.web.fakes import SQL
from tests.web.keyed import PEOPLE, Keyed, code, keyed

HIDDEN = ("zebra", "okapi", '"lists"')
ZEBRA = replace(SQL, name="zebra", model="zebra")
OKAPI = replace(SQL, name="okapi", model="okapi", engine="okapi-engine")
QUICK = replace(SQL, name="quick", preset={"base": "zebra", "version": 1, "body": {"seed": 1}})
ENGINES = ("sql-engine", "okapi-engine")
JOB = {"endpoint": "/v1/chat/completions"}


@pytest.fixture
async def service(serve: Serve, tmp_path: Path) -> AsyncIterator[Keyed]:
    """One team may ask only `sql` and a preset of an expert that it may not ask."""
    aliases = {"gpt-4": "zebra"}
    async with keyed(serve, experts=[ZEBRA, QUICK, OKAPI], model_aliases=aliases) as found:
        limit = {"allowed_experts": ["sql", "quick"]}
        await found.send("api_key", "PATCH", "/v1/teams/search", json=limit)
        for name in ENGINES:
            engine = Supervisor(spec_of(name, tmp_path), tmp_path / "log")
            found.web.parts.fleet._supervisors[name] = engine
        yield found


def names(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [each["name"] for each in answer.json()["data"]]


@pytest.mark.parametrize("who", PEOPLE)
async def test_engines_are_those_of_the_experts_that_may_be_asked(service: Keyed, who: str) -> None:
    """Keys without a limit, and operators, see all."""
    await service.web.parts.registry.update("sql", engine="sql-engine")
    shown = names(await service.send(who, "GET", "/v1/engines"))
    assert shown == (["sql-engine"] if PEOPLE[who][1] == "search" else list(ENGINES))


async def test_nothing_that_a_limited_key_reads_names_another_expert(service: Keyed) -> None:
    """Lists, and what is recorded of its own answers; its preset's base is not told."""
    assert (await service.ask("anna", model="auto")).is_success
    await service.web.parts.background.finish()
    paths = [path for path in service.web.app.openapi()["paths"] if "{" not in path]
    read = {path: await service.send("anna", "GET", path) for path in paths}
    one = await service.send("anna", "GET", "/v1/models/quick")
    assert (one.json()["root"], one.json()["parent"]) == ("quick", None)
    listed = {path for path, answer in read.items() if answer.is_success}
    assert {"/v1/models", "/v1/experts", "/v1/engines", "/v1/decisions", "/v1/usage"} <= listed
    for path, answer in read.items():
        assert not any(name in answer.text for name in HIDDEN), path
    whole = await service.send("ben", "GET", "/v1/models/quick")
    assert (whole.json()["root"], whole.json()["parent"]) == ("zebra", "zebra")


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/chat/completions", {**HELLO, "model": "gpt-4"}, 422),
        ("/v1/route", {**HELLO, "model": "gpt-4"}, 422),
        ("/v1/messages/count_tokens", {**HELLO, "model": "gpt-4"}, 422),
        ("/v1/chat/completions", {**HELLO, "model": "nobody"}, 404),
        ("/v1/chat/completions", {**HELLO, "routing": {"experts_allow": ["nobody"]}}, 400),
        ("/v1/chat/completions", {**HELLO, "routing": {"require": {"tags": ["none"]}}}, 422),
        (
            "/v1/chat/completions",
            {**HELLO, "model": "sql", "routing": {"max_cost_usd": 1e-12}},
            422,
        ),
        ("/v1/embeddings", {"model": "gpt-4", "input": "x"}, 422),
        ("/v1/rerank", {"model": "auto", "query": "x", "documents": ["y"]}, 400),
    ],
)
async def test_no_error_names_an_expert_that_may_not_be_asked(
    service: Keyed, path: str, body: dict[str, Any], status: int
) -> None:
    """Neither those that there are, nor what an alias stands for."""
    answer = await service.send("anna", "POST", path, json=body)
    assert answer.status_code == status, answer.text
    assert not any(name in answer.text for name in HIDDEN), answer.text


async def test_the_target_of_an_alias_is_not_told(service: Keyed) -> None:
    """Where models are looked up."""
    answer = await service.send("anna", "GET", "/v1/models/gpt-4")
    assert answer.status_code == 422
    assert "zebra" not in answer.text
    assert "'gpt-4'" in answer.text


async def test_a_hidden_expert_can_not_be_told_from_one_that_there_is_not(service: Keyed) -> None:
    """Whatever names experts beside the model: ratings, jobs and the keys of a team."""
    asked = (await service.ask("lead", model="sql")).json()["collegium"]["decision"]["id"]
    await service.web.parts.background.finish()
    file = {"file": ("in.jsonl", line("a", model="sql"))}
    sent = await service.send("lead", "POST", "/v1/files", files=file, data={"purpose": "batch"})
    job = {**JOB, "input_file_id": sent.json()["id"]}
    rating = {"decision_id": asked}
    told: dict[str, list[Any]] = {"zebra": [], "nobody": [], "sql": []}
    for name, found in told.items():
        for path, body in (
            ("/v1/feedback", {**rating, "preferred": name}),
            ("/v1/batches", {**job, "routing": {"capacity": {name: 1}}}),
            ("/v1/keys", {"name": f"of-{name}", "allowed_experts": [name]}),
            ("/v1/chat/completions", {**HELLO, "routing": {"experts_deny": [name]}}),
        ):
            answer = await service.send("lead", "POST", path, json=body)
            words = answer.text.replace(name, "NAME") if name != "sql" else ""
            found.append((answer.status_code, words))
    assert told["zebra"] == told["nobody"]
    assert [status for status, _ in told["zebra"]] == [422, 400, 400, 400]
    assert [status for status, _ in told["sql"]] == [200, 200, 201, 200]
    assert all(name not in words for _, words in told["zebra"] for name in HIDDEN)
    whole = await service.send(
        "api_key", "POST", "/v1/keys", json={"name": "x", "allowed_experts": ["n"]}
    )
    assert code(whole) == (400, "invalid_request")
    assert "zebra" in whole.text
