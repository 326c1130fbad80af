"""`collegium alarms …` and `collegium router eval VERSION` against a service in another process."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from collegium.cli.alarms_command import command
from collegium.cli.router_eval import evaluate
from collegium.cli.service_client import ServiceRefused
from collegium.registry.learning.alarms import Alarm, AlarmRegistry
from collegium.registry.storage.database import Database
from collegium.settings import load_settings
from tests.cli.test_application_commands import _wait_for
from tests.servers import free_port

DRIFT = Alarm("drift", "gpt4 has lost about 30 points", expert="gpt4", lowered=0.3)


@pytest.fixture(scope="module", autouse=True)
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A service with an open alarm."""
    folder, port = tmp_path_factory.mktemp("served"), free_port()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("COLLEGIUM_DATA_DIR", str(folder / "data"))
        environment.setenv("COLLEGIUM_ENCODER", "static")
        environment.setenv("COLLEGIUM_EMBEDDED", "false")
        environment.setenv("COLLEGIUM_PORT", str(port))
        asyncio.run(_fill())
        start = "from collegium.web.app import create_app; import uvicorn; "
        start += f"uvicorn.run(create_app(), port={port}, log_level='warning')"
        process = subprocess.Popen([sys.executable, "-c", start])
        try:
            _wait_for(f"http://127.0.0.1:{port}/healthz")
            yield
        finally:
            process.terminate()
            process.wait()


async def _fill() -> None:
    database = Database(load_settings().registry_url)
    await database.migrate()
    await AlarmRegistry(database).raise_(DRIFT)
    await database.close()


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


def test_a_version_is_judged_by_the_service() -> None:
    """Its error is ours."""
    with pytest.raises(ServiceRefused, match="no router has the version 'rtr_0'"):
        CliRunner().invoke(evaluate, ["rtr_0"], catch_exceptions=False)
