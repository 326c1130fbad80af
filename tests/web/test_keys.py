"""Keys through the API: what they may reach, how long they are good, and who calls."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from collegium.errors import ExpertUnavailable, Forbidden, SettingsError
from collegium.registry.key import Caller
from collegium.registry.keys import KeyRegistry
from collegium.registry.storage.archive import read, write
from collegium.settings import load_settings
from collegium.web.serving.callers import Callers
from tests.web.access import ADMIN, CALLER, KEYS, bearer
from tests.web.bulk import line
from tests.web.conftest import Serve, Web, until
from tests.web.keyed import Keyed, code, keyed


@pytest.fixture
async def service(serve: Serve) -> AsyncIterator[Keyed]:
    """A service with a caller of each role."""
    async with keyed(serve) as found:
        yield found


async def test_a_secret_is_shown_once(service: Keyed) -> None:
    """When it is made and when it is rotated; in no list, log or record of changes."""
    made = await service.make("new", description="for tests")
    secret = made["key"]
    rotated = await service.send("api_key", "POST", "/v1/keys/new/rotate", json={})
    for path in ("/v1/keys", "/v1/keys/new", f"/v1/keys/{made['id']}"):
        text = (await service.send("api_key", "GET", path)).text
        assert secret not in text
        assert rotated.json()["key"] not in text
    shown = (await service.send("api_key", "GET", "/v1/keys/new")).json()
    assert shown["last_four"] == rotated.json()["key"][-4:]
    assert not shown.keys() & {"key", "hash", "former_hash"}
    audit = (service.web.parts.settings.data_dir / "logs" / "audit.jsonl").read_text()
    lines: list[Any] = [json.loads(text) for text in audit.splitlines()]
    assert [(each["path"], each["status"]) for each in lines[-2:]] == [
        ("/v1/keys", 201),
        ("/v1/keys/new/rotate", 200),
    ]
    assert "col-" not in audit


async def test_a_caller_learns_who_it_is(service: Keyed) -> None:
    """Of the settings' own keys there is no id."""
    told = (await service.send("anna", "GET", "/v1/caller")).json()
    assert (told["name"], told["team"], told["role"]) == ("anna", "search", "caller")
    assert told["key_id"].startswith("key_")
    told = (await service.send("api_key", "GET", "/v1/caller")).json()
    assert (told["name"], told["role"], told["key_id"]) == ("api_key", "operator", None)


async def test_a_revoked_key_is_refused_at_once(service: Keyed) -> None:
    """In words that its holder understands; its rows stay."""
    asked = (await service.ask("anna")).json()["collegium"]["decision"]["id"]
    await service.send("lead", "POST", "/v1/keys/anna/revoke")
    refused = await service.ask("anna")
    assert code(refused) == (401, "invalid_api_key")
    assert "'anna' was revoked" in refused.json()["error"]["message"]
    await service.web.parts.background.finish()
    assert (await service.send("lead", "GET", f"/v1/decisions/{asked}")).status_code == 200
    await service.make("anna", team="search")
    assert (await service.send("anna", "GET", f"/v1/decisions/{asked}")).status_code == 200


async def test_a_rotated_key_is_good_for_the_overlap(service: Keyed) -> None:
    """Both secrets are of the same caller; without an overlap only the new one is good."""
    before = service.secrets["anna"]
    answer = await service.send("lead", "POST", "/v1/keys/anna/rotate", json={"overlap_s": 3600})
    service.secrets["anna"] = answer.json()["key"]
    for secret in (before, service.secrets["anna"]):
        found = await service.web.http.get("/v1/caller", headers=bearer(secret))
        assert found.json()["name"] == "anna"
    await service.send("lead", "POST", "/v1/keys/anna/rotate", json={})
    refused = await service.send("anna", "GET", "/v1/caller")
    assert code(refused) == (401, "invalid_api_key")
    assert "was rotated" in refused.json()["error"]["message"]


async def test_a_key_ends_in_time(service: Keyed) -> None:
    """By the clock of each request, not when the registry is read."""
    soon = datetime.now(UTC) + timedelta(hours=1)
    made = await service.make("brief", expires_at=soon.isoformat())
    assert (made["state"], (await service.ask("brief")).status_code) == ("active", 200)
    callers = service.web.parts.callers
    later = soon + timedelta(seconds=1)
    callers._clock = lambda: later
    refused = await service.ask("brief")
    assert code(refused) == (401, "invalid_api_key")
    assert "'brief' expired on" in refused.json()["error"]["message"]
    assert callers.states()["expired"] == 1


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": 2030}, "expires_at"),
        ({"expires_at": "9999-12-31T23:59:59-12:00"}, "expires_at"),
        ({"expires_at": "2030-01-01T00:00:00"}, "expires_at"),
        ({"allowed_experts": ["nobody"]}, "allowed_experts"),
        ({"role": "king"}, "role"),
        ({"team": ""}, "team"),
        ({"secret": "my-own"}, "secret"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    service: Keyed, body: dict[str, Any], param: str
) -> None:
    """400, with the field."""
    answer = await service.send("api_key", "POST", "/v1/keys", json={"name": "new", **body})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


async def test_errors_of_the_registry_have_codes(service: Keyed) -> None:
    """404 for what there is not, 409 for what there is already."""
    for method, path, body, expected in [
        ("GET", "/v1/keys/nobody", None, (404, "key_not_found")),
        ("POST", "/v1/keys", {"name": "anna"}, (409, "key_conflict")),
        ("POST", "/v1/keys", {"name": "api_key"}, (409, "key_conflict")),
        ("POST", "/v1/keys", {"name": "x", "team": "none"}, (404, "team_not_found")),
        ("POST", "/v1/teams", {"name": "search"}, (409, "team_conflict")),
        ("DELETE", "/v1/teams/search", None, (409, "team_conflict")),
        ("POST", "/v1/keys", {"name": "a b"}, (400, "registry_error")),
    ]:
        fields = {} if body is None else {"json": body}
        assert code(await service.send("api_key", method, path, **fields)) == expected, path


async def test_a_team_lead_learns_nothing_of_others_names(service: Keyed) -> None:
    """Neither whose a name is, nor whether a key has it, had it, or the settings."""
    await service.send("api_key", "POST", "/v1/keys/ben/revoke")
    await service.make("eve", team="support")
    told = set()
    for name in ("ben", "eve", "root", "api_key"):
        answer = await service.send("lead", "POST", "/v1/keys", json={"name": name})
        assert code(answer) == (409, "key_conflict")
        told.add(answer.json()["error"]["message"].replace(name, "NAME"))
    assert told == {"The name 'NAME' can't be used: choose another, such as 'search-NAME'"}
    own = await service.send("lead", "POST", "/v1/keys", json={"name": "anna"})
    assert "already exists" in own.json()["error"]["message"]
    operators = await service.send("api_key", "POST", "/v1/keys", json={"name": "ben"})
    assert "'support'" in operators.json()["error"]["message"]


async def test_without_an_api_key_there_are_no_keys(web: Web) -> None:
    """They would protect nothing."""
    answer = await web.http.post("/v1/keys", json={"name": "anna"})
    assert code(answer) == (409, "key_conflict")
    assert "api_key" in answer.json()["error"]["message"]
    told = (await web.http.get("/v1/caller")).json()
    assert (told["role"], told["key_id"]) == ("operator", None)


async def test_keys_need_the_api_key_at_the_start(service: Keyed) -> None:
    """As caller_keys do, whose names may not be theirs."""
    settings = service.web.parts.settings
    for wrong, words in (
        (settings.model_copy(update={"api_key": None}), "need the setting api_key"),
        (load_settings(api_key=ADMIN, caller_keys={"anna": CALLER}), "'anna' is also the name"),
    ):
        callers = Callers(wrong, KeyRegistry(service.web.parts.database))
        with pytest.raises(SettingsError, match=words):
            await callers.open()


async def test_the_settings_keys_work_beside(serve: Serve) -> None:
    """Their names are taken, and they are of no team."""
    async with keyed(serve, caller_keys=KEYS["caller_keys"]) as service:
        found = await service.web.http.get("/v1/caller", headers=bearer(CALLER))
        assert (found.json()["name"], found.json()["role"]) == ("shop", "caller")
        taken = await service.send("api_key", "POST", "/v1/keys", json={"name": "shop"})
        assert code(taken) == (409, "key_conflict")


# --- what a key may reach ---


async def test_a_key_reaches_its_experts_alone(service: Keyed) -> None:
    """By name and by routing, in panels and in lists; the report names the key's rule."""
    await service.make("narrow", team="search", allowed_experts=["lists"])
    rule = "The key 'narrow' of the team 'search' may ask only: lists."
    assert (await service.ask("narrow", model="auto")).json()["model"] == "lists"
    refused = await service.ask("narrow", model="sql")
    assert code(refused) == (422, "no_feasible_expert")
    assert rule in refused.json()["error"]["message"]
    limited = await service.ask("narrow", routing={"max_latency_ms": 0.001})
    assert limited.status_code in (422, 429)
    none = await service.ask("narrow", routing={"min_quality": 1.0})
    assert code(none) == (422, "no_feasible_expert")
    assert rule in none.json()["error"]["message"]
    route = (await service.send("narrow", "POST", "/v1/route", json={
        "messages": [{"role": "user", "content": "sql 1"}]})).json()  # fmt: skip
    assert [f["expert"] for f in route["forecasts"]] == ["lists"]
    models = (await service.send("narrow", "GET", "/v1/models")).json()["data"]
    assert [m["id"] for m in models if not m["collegium"]["virtual"]] == ["lists"]
    experts = (await service.send("narrow", "GET", "/v1/experts")).json()["data"]
    assert [e["name"] for e in experts] == ["lists"]
    assert (await service.send("narrow", "GET", "/v1/models/sql")).status_code == 422
    assert (await service.send("narrow", "GET", "/v1/models/lists")).status_code == 200


async def test_failover_and_panels_stay_within_the_rule(service: Keyed) -> None:
    """Nobody else is asked, also where those that may be asked fail."""
    await service.make("narrow", allowed_experts=["lists", "general"])
    service.web.experts["lists"].refuses = ExpertUnavailable("lists", "it is down")
    before = len(service.web.experts["sql"].asked)
    for fields in ({"model": "auto"}, {"model": "collegium/vote", "routing": {"k": 2}}):
        for _ in range(3):
            await service.ask("narrow", **fields)
    assert len(service.web.experts["sql"].asked) == before


async def test_a_teams_limit_holds_for_its_keys(service: Keyed) -> None:
    """What both allow is allowed; the next request knows a change."""
    await service.make("wide", team="search", allowed_experts=["sql", "lists"])
    assert (await service.ask("wide", model="sql")).status_code == 200
    limit = {"allowed_experts": ["lists", "general"]}
    await service.send("api_key", "PATCH", "/v1/teams/search", json=limit)
    assert (await service.ask("wide", model="sql")).status_code == 422
    assert (await service.ask("wide", model="general")).status_code == 422
    assert (await service.ask("wide", model="lists")).status_code == 200
    await service.send("api_key", "PATCH", "/v1/teams/search", json={"allowed_experts": None})
    assert (await service.ask("wide", model="sql")).status_code == 200


async def test_a_key_without_experts_reaches_none(service: Keyed) -> None:
    """An empty list is not no list."""
    await service.make("none", allowed_experts=[])
    refused = await service.ask("none")
    assert code(refused) == (422, "no_feasible_expert")
    assert "may ask only: nobody" in refused.json()["error"]["message"]


async def test_a_key_is_for_its_applications_alone(service: Keyed) -> None:
    """Named in a header or in the body; embeddings by our own encoder as well."""
    await service.make("desk", allowed_applications=["search", "desk:nightly"])
    header = {"x-collegium-application": "search"}
    hello = {"messages": [{"role": "user", "content": "sql 1"}]}
    chat = "/v1/chat/completions"
    good = await service.send("desk", "POST", chat, json=hello, headers=header)
    assert good.json()["collegium"]["decision"]["application"] == "desk:search"
    nightly = hello | {"metadata": {"application": "nightly"}}
    assert (await service.send("desk", "POST", chat, json=nightly)).status_code == 200
    for headers in ({}, {"x-collegium-application": "other"}):
        refused = await service.send("desk", "POST", chat, json=hello, headers=headers)
        assert code(refused) == (403, "forbidden")
        assert "desk:nightly, search" in refused.json()["error"]["message"]
        vectors = {"model": "auto", "input": "text"}
        refused = await service.send(
            "desk", "POST", "/v1/embeddings", json=vectors, headers=headers
        )
        assert code(refused) == (403, "forbidden")


async def job(service: Keyed, who: str, *lines: str) -> Any:
    """A bulk job when it has ended."""
    files = {"file": ("in.jsonl", "\n".join(lines).encode())}
    form = {"purpose": "batch"}
    source = await service.send(who, "POST", "/v1/files", files=files, data=form)
    body = {"input_file_id": source.json()["id"], "endpoint": "/v1/chat/completions"}
    path = f"/v1/batches/{(await service.send(who, 'POST', '/v1/batches', json=body)).json()['id']}"

    async def ended() -> bool:
        found = (await service.send("api_key", "GET", path)).json()
        return found["status"] in ("completed", "failed", "cancelled")

    await until(ended)
    return (await service.send("api_key", "GET", path)).json()


async def test_lines_of_bulk_jobs_keep_to_the_rule(service: Keyed) -> None:
    """Those that name another expert are refused, with the rule."""
    await service.make("narrow", allowed_experts=["lists"])
    done = await job(service, "narrow", line("a", model="lists"), line("b", model="sql"))
    assert done["request_counts"] == {"total": 2, "completed": 1, "failed": 1}
    errors = await service.send("narrow", "GET", f"/v1/files/{done['error_file_id']}/content")
    assert "may ask only: lists" in errors.text


async def test_a_revoked_keys_job_asks_no_more(service: Keyed) -> None:
    """What is left of it is refused, in words."""
    script = service.web.experts["lists"]
    script.waits = True
    lines = [line(str(number), model="lists") for number in range(60)]
    files = {"file": ("in.jsonl", "\n".join(lines).encode())}
    source = await service.send("anna", "POST", "/v1/files", files=files, data={"purpose": "batch"})
    body = {"input_file_id": source.json()["id"], "endpoint": "/v1/chat/completions"}
    batch = (await service.send("anna", "POST", "/v1/batches", json=body)).json()["id"]
    await until(lambda: script.asked)
    asked = len(script.asked)
    await service.send("lead", "POST", "/v1/keys/anna/revoke")
    script.go.set()

    async def ended() -> bool:
        found = (await service.send("lead", "GET", f"/v1/batches/{batch}")).json()
        return bool(found["status"] == "completed")

    await until(ended)
    done = (await service.send("lead", "GET", f"/v1/batches/{batch}")).json()
    assert done["request_counts"]["failed"] >= 60 - asked - 64
    errors = await service.send("lead", "GET", f"/v1/files/{done['error_file_id']}/content")
    assert "'anna' is revoked" in errors.text


# --- in memory ---


async def test_a_request_reads_no_database_for_its_key(service: Keyed) -> None:
    """However many there are."""
    callers, database = service.web.parts.callers, service.web.parts.database
    await database.close()
    database.session = None  # type: ignore[assignment, method-assign]
    assert callers.of(service.secrets["anna"]) is not None
    assert callers.of("col-nobody") is None
    del database.session


async def test_another_process_knows_within_a_second(service: Keyed) -> None:
    """It asks the registry twice a second."""
    settings, database = service.web.parts.settings, service.web.parts.database
    other = Callers(settings, KeyRegistry(database))
    await other.open()
    try:
        secret = service.secrets["anna"]
        assert other.of(secret) is not None
        await service.send("lead", "POST", "/v1/keys/anna/revoke")
        await until(lambda: other.of(secret) is None, timeout_s=1.5)
        with pytest.raises(Forbidden):
            other.named("anna")
    finally:
        await other.close()


async def test_owners_of_rows_that_are_there_already(service: Keyed) -> None:
    """Those in no registry may do anything: the settings' callers, and who asked before keys."""
    callers = service.web.parts.callers
    assert callers.named("") == Caller("")
    assert callers.named("shop") == Caller("shop")
    assert callers.named("anna").team == "search"
    assert callers.members("search") == {"lead", "anna", "view"}
    assert callers.members("nobody") == frozenset()


async def test_metrics_count_keys_by_state(service: Keyed) -> None:
    """All of the registry."""
    await service.send("api_key", "POST", "/v1/keys/ben/revoke")
    metrics = await service.web.metrics(ADMIN)
    assert metrics['collegium_keys{state="active"}'] == 5
    assert metrics['collegium_keys{state="revoked"}'] == 1
    assert metrics['collegium_keys{state="expired"}'] == 0


async def test_keys_work_after_a_restore(
    service: Keyed, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A backup carries their hashes."""
    data = service.web.parts.settings.data_dir
    folder = tmp_path_factory.mktemp("backup")
    write(folder / "all.tar", data, data / "collegium.sqlite3")
    read(folder / "all.tar", folder / "restored")
    from collegium.registry.storage.database import Database

    settings = load_settings(api_key=ADMIN, data_dir=folder / "restored", embedded=False)
    database = Database(settings.registry_url)
    callers = Callers(settings, KeyRegistry(database))
    await callers.follow()
    found = callers.of(service.secrets["anna"])
    await database.close()
    assert found is not None
    assert (found.name, found.team) == ("anna", "search")
