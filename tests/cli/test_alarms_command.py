"""`collegium alarms …`, `cache …` and `router eval …` with a service in another process."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from collegium.cli.alarms_command import command
from collegium.cli.cache_command import command as cache
from collegium.cli.router_eval import evaluate
from collegium.cli.service_client import ServiceRefused
from collegium.registry.learning.alarms import Alarm, AlarmRegistry
from collegium.registry.storage.database import Database
from tests.cli.served import served_on

DRIFT = Alarm("drift", "gpt4 has lost about 30 points", expert="gpt4", lowered=0.3)


@pytest.fixture(scope="module", autouse=True)
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A service with an open alarm."""
    with served_on(tmp_path_factory.mktemp("served"), _fill):
        yield


async def _fill(database: Database) -> None:
    await AlarmRegistry(database).raise_(DRIFT)


def run(*arguments: str) -> str:
    """What a command prints."""
    done = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_alarms_are_listed_and_closed() -> None:
    """As a table, or as one JSON document."""
    table = run("list")
    assert "gpt4 has lost about 30 points" in table
    assert DRIFT.id in table
    (shown,) = json.loads(run("list", "--json"))
    assert (shown["id"], shown["status"], shown["lowered"]) == (DRIFT.id, "open", 0.3)
    assert run("close", DRIFT.id, "--reason", "mended") == f"{DRIFT.id} is closed.\n"
    assert run("list") == "There is no open alarm.\n"
    assert "[mended]" in run("list", "--status", "closed")


def test_the_cache_is_shown_and_cleared() -> None:
    """Its mode, what it may hold and holds; `object` is for programs."""
    shown = CliRunner().invoke(cache, ["show"]).stdout
    assert dict(line.split() for line in shown.splitlines())["mode"] == "off"
    assert "object" not in shown
    assert json.loads(CliRunner().invoke(cache, ["show", "--json"]).stdout)["entries"] == 0
    assert CliRunner().invoke(cache, ["clear"]).stdout == "0 answers removed from the cache.\n"
    cleared = json.loads(CliRunner().invoke(cache, ["clear", "--json"]).stdout)
    assert cleared == {"object": "cache.deleted", "deleted": 0}


def test_a_version_is_judged_by_the_service() -> None:
    """Its error is ours."""
    with pytest.raises(ServiceRefused, match="no router has the version 'rtr_0'"):
        CliRunner().invoke(evaluate, ["rtr_0"], catch_exceptions=False)
