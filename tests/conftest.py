"""Services that several folders of tests share. Each engine takes most of a minute to start."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.running_service import RunningService, running_service

SHARED = {"service", "crash_dummy"}


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each file to one worker, and all that use a shared pool to the same one.

    So no more than three pools run at once: each takes 3 GiB, and with five 24 GiB were too few.
    """
    shared = {item.path for item in items if SHARED & set(getattr(item, "fixturenames", ()))}
    for item in items:
        group = "pool" if item.path in shared else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))


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
