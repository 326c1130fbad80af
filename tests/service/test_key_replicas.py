"""Two replicas on one PostgreSQL: a key that is revoked on one is refused by the other."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.running_service import RunningService, running_service
from tests.servers import postgres_server

pytestmark = pytest.mark.slow
OPERATOR = "the-operators-first-key"
SOON_S = 2.0
"""A replica looks twice a second; the rest is for a busy machine."""


@pytest.fixture(scope="module")
def replicas(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[RunningService, RunningService]]:
    """Two services without engines on one database, each with a folder of its own."""
    with postgres_server() as postgres:
        settings = {
            "COLLEGIUM_DATABASE_URL": postgres.empty_database("keys"),
            "COLLEGIUM_API_KEY": OPERATOR,
            "COLLEGIUM_EMBEDDED": "false",
        }
        folder = tmp_path_factory.mktemp("replicas")
        one, other = ({**settings}, {**settings})
        with (
            running_service(Path(folder / "one"), **one) as first,
            running_service(Path(folder / "other"), **other) as second,
        ):
            yield first, second


def send(
    service: RunningService, method: str, path: str, key: str = OPERATOR, **fields: Any
) -> httpx.Response:
    """A request with a key."""
    headers = {"authorization": f"Bearer {key}"}
    return httpx.request(method, f"{service.url}{path}", headers=headers, timeout=30, **fields)


def seconds_until(service: RunningService, key: str, status: int) -> float:
    """How long it takes until a replica answers a key so."""
    began = time.monotonic()
    while send(service, "GET", "/v1/caller", key).status_code != status:
        assert time.monotonic() - began < 10, f"not {status} after 10 s"
        time.sleep(0.02)
    return time.monotonic() - began


def test_a_change_on_one_replica_counts_on_the_other(
    replicas: tuple[RunningService, RunningService],
) -> None:
    """Made, limited, rotated and revoked here, noticed there; here at once."""
    here, there = replicas
    assert send(here, "POST", "/v1/teams", json={"name": "search"}).status_code == 201
    body = {"name": "anna", "team": "search"}
    key = send(here, "POST", "/v1/keys", json=body).json()["key"]
    assert seconds_until(there, key, 200) < SOON_S
    rotated = send(here, "POST", "/v1/keys/anna/rotate", json={"overlap_s": 0}).json()["key"]
    assert seconds_until(there, key, 401) < SOON_S
    assert send(there, "GET", "/v1/caller", rotated).json()["name"] == "anna"
    assert send(there, "POST", "/v1/keys/anna/revoke").status_code == 200
    assert send(there, "GET", "/v1/caller", rotated).status_code == 401
    assert seconds_until(here, rotated, 401) < SOON_S


def test_the_command_line_changes_the_registry_of_a_running_service(
    replicas: tuple[RunningService, RunningService],
) -> None:
    """The secret alone is on standard output; no argument is one."""
    here, there = replicas
    made = here.cli("key", "create", "ben", "--role", "read-only", "--expires", "90d")
    assert (made.returncode, made.stdout.count("\n")) == (0, 1)
    secret = made.stdout.strip()
    assert seconds_until(there, secret, 200) < SOON_S
    found = here.cli("key", "identify", said=f"{secret}\n")
    rows = dict(line.split(maxsplit=1) for line in found.stdout.splitlines())
    assert rows["name"] == "ben"
    assert rows["id"]
    assert here.cli("key", "revoke", "ben").returncode == 0
    assert send(here, "GET", "/v1/caller", secret).status_code == 401
    audit = (here.data_dir / "logs" / "audit.jsonl").read_text()
    assert "/v1/keys/ben/revoke" in audit
    assert secret not in audit
    assert secret not in (here.data_dir / "serve.log").read_text()
