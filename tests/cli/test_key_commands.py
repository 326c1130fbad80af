"""`collegium key` and `collegium team` on a registry without a service."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from collegium.cli import cli
from collegium.errors import CollegiumError

OPERATOR = "the-operators-first-key"


@pytest.fixture(autouse=True)
def _settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    monkeypatch.setenv("COLLEGIUM_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("COLLEGIUM_API_KEY", OPERATOR)
    monkeypatch.setenv("COLLEGIUM_PORT", str(port))


def run(*arguments: str, said: str | None = None) -> Result:
    """Run a command; what we raise by ourselves goes to the test."""
    return CliRunner().invoke(cli, arguments, input=said, catch_exceptions=True)


def shown(*arguments: str) -> Any:
    """What a command prints as JSON."""
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_key_from_its_making_to_its_end(tmp_path: Path) -> None:
    """The same routes as the service's, so that each change is checked and recorded."""
    shown("team", "create", "search", "--application", "desk")
    made = run("key", "create", "anna", "--team", "search", "--expires", "90d")
    secret = made.stdout.strip()
    assert (len(secret), secret[:4]) == (47, "col-")
    assert "shown this once" in made.stderr
    rotated = shown("key", "rotate", "anna", "--overlap", "24h")
    assert rotated["former_until"] is not None
    assert json.loads(run("key", "identify", "--json", said=secret).stdout)["name"] == "anna"
    changed = shown("key", "update", "anna", "--never-expires", "--role", "team-lead")
    assert (changed["expires_at"], changed["role"]) == (None, "team-lead")
    assert "anna" in run("key", "list", "--state", "active", "--team", "search").stdout
    assert shown("key", "revoke", "anna")["state"] == "revoked"
    assert shown("key", "list", "--state", "active") == []
    assert "search" in run("team", "list").stdout
    assert shown("team", "update", "search", "--all-applications")["allowed_applications"] is None
    audit = (tmp_path / "logs" / "audit.jsonl").read_text().splitlines()
    assert [json.loads(each)["path"] for each in audit] == [
        "/v1/teams",
        "/v1/keys",
        "/v1/keys/anna/rotate",
        "/v1/keys/anna",
        "/v1/keys/anna/revoke",
        "/v1/teams/search",
    ]
    assert secret not in "".join(audit)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["key", "rotate", "nobody"], "no key has the name"),
        (["key", "create", "a b"], "letters, digits"),
        (["key", "create", "anna", "--expert", "none"], "not registered: none"),
        (["team", "remove", "nobody"], "there is no team"),
    ],
)
def test_refusals_are_in_words(arguments: list[str], words: str) -> None:
    """The API's."""
    result = run(*arguments)
    assert isinstance(result.exception, CollegiumError)
    assert words in str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["key", "create", "anna", "--expires", "soon"], "90d, or a date"),
        (["key", "rotate", "anna", "--overlap", "1 day"], "30m, 24h or 7d"),
        (["key", "update", "anna"], "say what to change"),
        (["key", "identify"], "no key of the registry"),
    ],
)
def test_wrong_options_are_told(arguments: list[str], words: str) -> None:
    """With how they are written."""
    result = run(*arguments, said="")
    assert result.exit_code != 0
    assert words in result.output


def test_keys_need_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without api_key everybody is an operator."""
    monkeypatch.delenv("COLLEGIUM_API_KEY")
    result = run("key", "create", "anna")
    assert "keys need the setting api_key" in str(result.exception)


def test_people_read_what_a_key_and_a_team_may_do() -> None:
    """In the words of the lists; the kind of the value is for programs."""
    shown("team", "create", "search", "--application", "desk")
    run("key", "create", "anna", "--team", "search")
    for said in (
        run("key", "show", "anna").stdout,
        run("key", "update", "anna", "--role", "read-only").stdout,
    ):
        rows = dict(line.split(maxsplit=1) for line in said.splitlines())
        assert (rows["allowed_experts"], rows["allowed_applications"]) == ("all", "all")
        assert "object" not in rows
    team = dict(
        line.split(maxsplit=1) for line in run("team", "show", "search").stdout.splitlines()
    )
    assert (team["allowed_experts"], team["allowed_applications"]) == ("all", "desk")
    assert shown("team", "show", "search")["object"] == "team"


def test_a_revoked_key_is_known_by_its_name() -> None:
    """It can't be rotated, and that is said; a live key of the name comes first."""
    run("key", "create", "anna")
    first = shown("key", "revoke", "anna")["id"]
    assert shown("key", "show", "anna")["id"] == first
    for command in ("rotate", "revoke"):
        result = run("key", command, "anna")
        assert "the key 'anna' was revoked for good: create another" in str(result.exception)
    run("key", "create", "anna")
    second = shown("key", "rotate", "anna")
    assert (second["state"], second["id"] != first) == ("active", True)
    shown("key", "revoke", "anna")
    assert shown("key", "show", "anna")["id"] == second["id"]
