"""Services that several folders share (an engine starts in most of a minute); who runs what."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from collegium.errors import SetupError
from tests import order
from tests.running_service import RunningService, running_service

# NumPy and PyTorch read these when they are imported. Threads wait busily for one another where
# others keep the cores: beside a second worker, calibrating a router took 42 s with two threads of
# OpenBLAS and 5 s with one, and tests of kernels 34 s with threads of OpenMP that do not sleep.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Developers keep recorded outcomes beside the checkout; tests without them are skipped.
if (RECORDED := Path(__file__).resolve().parents[2] / "shared" / "data").is_dir():
    os.environ.setdefault("COLLEGIUM_DATA", str(RECORDED))

POOLS = ("tests/browser/", "tests/clients/", "tests/service/")
TOLD = tuple(
    f"tests/browser/test_chat_{name}.py"
    for name in ("attachments", "axe", "conversations", "panel", "prose")
)
WITHOUT_ENGINE = (
    *("tests/clients/test_importing.py", "tests/service/test_adoption.py"),
    *("tests/service/test_bulk_crashes.py", "tests/service/test_bulk_jobs.py"),
    *("tests/service/test_dispatch.py", "tests/service/test_key_replicas.py"),
    *("tests/service/test_alarms.py", "tests/service/test_learning_interrupted.py"),
    *("tests/service/test_online_learning.py", "tests/service/test_panel_evaluation.py"),
    *("tests/service/test_panels.py", "tests/service/test_ray_cluster.py"),
    "tests/service/test_servers_that_die.py",
    *("tests/service/test_waiting_turns.py", "tests/service/test_wheel.py"),
    "tests/service/test_workers.py",
)
"""Their services have experts that need no engine, or are processes that only look like one."""


ENDS: order.Ends = {}


class ByPool(LoadScopeScheduling):
    """Gives each file to one worker, and all that start engines to the same one.

    Pages of the service whose experts say what they are told share it and a browser.
    """

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)


def scope_of(nodeid: str) -> str:
    """The tests that run on the same worker as this one."""
    file = nodeid.partition("::")[0]
    if file in TOLD:
        return "told"
    return "pools" if file.startswith(POOLS) and file not in WITHOUT_ENGINE else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByPool:
    """Who runs what with several workers (`make test`)."""
    return ByPool(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let servers end when nobody needs them any more (`tests/order.py`)."""
    order.together(items)
    ENDS.update(order.ends(items, scope_of))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """End them."""
    return (yield from order.end_after(item, ENDS))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Name a failed test at once: a run that is stopped from outside never gets to its summary."""
    if report.failed and sys.__stdout__ and "PYTEST_XDIST_WORKER" not in os.environ:
        crash = getattr(report.longrepr, "reprcrash", None)
        why = "" if crash is None else crash.message.partition("\n")[0]
        sys.__stdout__.write(
            f"\n{report.when} of {report.nodeid} failed after {report.duration:.0f} s: {why}\n"
        )


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of recorded outcomes, which a checkout alone does not have."""
    from collegium.evals.core.data import data_root  # NumPy must not be imported before this file

    try:
        return data_root()
    except SetupError as exc:
        pytest.skip(f"NOT TESTED: {exc}")


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """The embedded pool, shared by all tests that leave it as it was."""
    with running_service(tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture(scope="session")
def crash_dummy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A second pool, whose engine tests kill."""
    with running_service(tmp_path_factory.mktemp("crash-dummy")) as service:
        yield service


@pytest.fixture
def crashable_service(crash_dummy: RunningService) -> RunningService:
    """The pool whose engine may be killed, whole again."""
    crash_dummy.wait_ready()
    return crash_dummy
