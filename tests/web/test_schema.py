"""Whatever /openapi.json allows: Schemathesis sends it, and looks at each answer in all its ways.

It finds what nobody thought of: it writes requests from the description, right ones and wrong
ones, and compares every answer with the description.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable

from collegium.router.artifact import FittedRouter
from tests.servers import free_port
from tests.web.conftest import serving

schemathesis = pytest.importorskip("schemathesis")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
EXAMPLES = 15
"""Right ones of each operation, and as many wrong ones: about a minute together on two cores."""
ENGINES = "/v1/engines"
"""To restart or to start one takes processes; test_engines.py does that."""
LEFT_OUT = {
    "unsupported_method",  # answers 405 as it should, and for CORS by a setting
    "ignored_auth",  # there is no key here; test_front.py tries to go around one
    "positive_data_acceptance",  # what names an expert or an id that there isn't is refused
    "missing_required_header",
}
fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def url(
    tmp_path_factory: pytest.TempPathFactory, data_dir: Path, fitted: FittedRouter
) -> Iterator[str]:
    """A service on fake experts that listens."""
    folder, port = tmp_path_factory.mktemp("fuzzed"), free_port()
    shutil.copytree(data_dir, folder, dirs_exist_ok=True)
    server: list[uvicorn.Server] = []

    async def run() -> None:
        async with serving(folder, fitted) as web:
            config = uvicorn.Config(web.app, port=port, log_level="error", lifespan="off")
            server.append(uvicorn.Server(config))
            with contextlib.suppress(asyncio.CancelledError):
                await server[0].serve()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    while not (server and server[0].started):
        thread.join(0.05)
        assert thread.is_alive()
    yield f"http://127.0.0.1:{port}"
    server[0].should_exit = True
    thread.join(60)


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=lambda mode: mode.value)
def test_every_operation_answers_as_it_is_described(url: str, mode: Any) -> None:
    """No 500, no status, shape or kind of content that is not described, nothing accepted that is
    described as wrong.
    """
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    checks = [check for check in all_checks() if check.__name__ not in LEFT_OUT]
    failures: dict[str, str] = {}
    for found in schema.get_all_operations():
        operation = found.ok()
        if not operation.path.startswith(ENGINES):
            failures |= failures_of(operation, mode, checks)
    assert failures == {}


def all_checks() -> list[Any]:
    """Those that Schemathesis has, without those of stateful tests."""
    from schemathesis import checks

    checks.load_all_checks()
    return checks.CHECKS.get_all()


def failures_of(operation: Any, mode: Any, checks: list[Any]) -> dict[str, str]:
    """What is wrong with the answers of one operation, by its name."""

    @fuzzed
    @given(case=operation.as_strategy(generation_mode=mode))
    def holds(case: Any) -> None:
        case.call_and_validate(checks=checks)

    try:
        holds()
    except BaseExceptionGroup as exc:
        return {operation.label: " | ".join(map(str, exc.exceptions))[:2000]}
    except (AssertionError, Unsatisfiable) as exc:  # nothing wrong can be sent to some
        return {} if isinstance(exc, Unsatisfiable) else {operation.label: str(exc)[:2000]}
    return {}
