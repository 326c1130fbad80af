"""A service in front of the scripted upstream, and the clients in environments of their own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.running_service import RunningService, running_service
from tests.servers import app_server

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
CLIENTS = ROOT / ".venv" / "clients"
ADMIN, CALLER = "the-operators-key", "the-callers-key"
LONGEST_S = 240


@dataclass(frozen=True)
class Place:
    """A service that clients are pointed at."""

    url: str
    key: str
    model: str
    kind: str
    """`scripted`: its answers are known; `pool`: small real models give them."""

    def arguments(self) -> list[str]:
        """What each client's program is told."""
        return [self.url, self.key, self.model, self.kind]


@pytest.fixture(scope="session", autouse=True)
def installed() -> None:
    """The clients are there."""
    assert (CLIENTS / ".installed").is_file(), "run scripts/client-packages"


@pytest.fixture(scope="session")
def upstream() -> Iterator[str]:
    """The scripted upstream's address."""
    with app_server("tests.clients.scripted_server:app") as url:
        yield url


@pytest.fixture(scope="session")
def gateway(upstream: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service with keys whose one expert is the scripted upstream."""
    settings = {
        "COLLEGIUM_EMBEDDED": "false",
        "COLLEGIUM_API_KEY": ADMIN,
        "COLLEGIUM_CALLER_KEYS": f'{{"clients": "{CALLER}"}}',
        "COLLEGIUM_RECORD": "full",
        "COLLEGIUM_MODEL_ALIASES": '{"claude-*": "auto", "gpt-*": "auto"}',
    }
    with running_service(tmp_path_factory.mktemp("gateway"), **settings) as service:
        expert = {"name": "scripted", "kind": "openai", "base_url": upstream, "generalist": True}
        prices = {"input_price": 1, "output_price": 4}
        added = httpx.post(
            f"{service.url}/v1/experts",
            json={**expert, **prices},
            headers={"authorization": f"Bearer {ADMIN}"},
            timeout=60,
        )
        assert added.status_code == 201, added.text
        yield service


@pytest.fixture
def scripted(gateway: RunningService) -> Place:
    """The scripted upstream behind `auto`."""
    return Place(gateway.url, CALLER, "auto", "scripted")


@pytest.fixture
def pool(service: RunningService) -> Place:
    """The embedded pool behind `auto`."""
    return Place(service.url, "none", "auto", "pool")


def python(program: str, place: Place, *, version3: bool = False) -> None:
    """Run a client's program in the clients' environment."""
    executable = CLIENTS / "python" / "bin" / "python"
    environment = {"PYTHONPATH": str(CLIENTS / "openai3")} if version3 else {}
    run([str(executable), str(HERE / "python" / program), *place.arguments()], environment)


def node(program: str, place: Place) -> None:
    """Run a client's program under Node."""
    run(["node", str(HERE / "node" / program), *place.arguments()])


def run(command: list[str], environment: dict[str, str] | None = None) -> str:
    """Run a program; it fails the test where it ends with an error, with all that it said."""
    usual = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    done = subprocess.run(
        command,
        env=usual | (environment or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )
    said = f"{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
    assert done.returncode == 0, f"{command[1]} ended with {done.returncode}:\n{said}"
    return done.stdout
