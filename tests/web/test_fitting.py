"""The process that fits a router: it holds up nobody, and outlives nobody."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
import time
from multiprocessing import util
from pathlib import Path
from typing import Any

import pytest

from collegium.web.learning import fitting
from collegium.web.learning.fitting import fit_apart

LONGEST_S = 60
SCRIPT = """
import asyncio, sys
from tests.web import test_fitting
from collegium.web.learning import fitting

if __name__ == "__main__":
    fitting.fit = test_fitting.fit_for_ever
    asyncio.run(fitting.fit_apart(sys.argv[1], None, None))
"""


def fit_and_end_slowly(file: Any, *_: Any) -> str:
    """A fit whose process ends only when it may, as others do after seconds."""
    util.Finalize(None, wait_for, (file,), exitpriority=1)
    return "fitted"


def wait_for(file: Path) -> None:
    """Return when there is such a file, but not for ever."""
    until = time.monotonic() + LONGEST_S
    while not file.exists() and time.monotonic() < until:
        time.sleep(0.05)


def fit_for_ever(file: Any, *_: Any) -> None:
    """A fit that writes down its process and does not end."""
    Path(file).write_text(str(os.getpid()))
    time.sleep(600)


async def fitted_by(function: Any, given: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The result of a fit that is this function."""
    monkeypatch.setattr(fitting, "fit", function)
    return await fit_apart(given, given, given)


async def test_the_end_of_a_fit_holds_up_nobody(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its process takes seconds to end: the result is there before."""
    before, may_end = multiprocessing.active_children(), tmp_path / "may-end"
    assert await fitted_by(fit_and_end_slowly, may_end, monkeypatch) == "fitted"
    (process,) = [each for each in multiprocessing.active_children() if each not in before]
    may_end.touch()
    assert process.pid is not None
    await gone(process.pid)


async def test_a_fit_that_is_cancelled_is_killed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A service that ends does not wait for it."""
    file = tmp_path / "pid"
    fit = asyncio.create_task(fitted_by(fit_for_ever, file, monkeypatch))
    pid = await written(file)
    fit.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fit
    await gone(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's signal is Linux's")
async def test_a_fit_ends_with_its_service(tmp_path: Path) -> None:
    """Also if that is killed."""
    script, file = tmp_path / "service.py", tmp_path / "pid"
    script.write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    service = await asyncio.create_subprocess_exec(
        sys.executable, str(script), str(file), env=environment
    )
    try:
        pid = await written(file)
    finally:
        service.send_signal(signal.SIGKILL)
        await service.wait()
    await gone(pid)


async def written(file: Path) -> int:
    """The process's number, once it is there."""
    async with asyncio.timeout(10 * LONGEST_S):
        while not file.is_file() or not file.read_text():
            await asyncio.sleep(0.05)
    return int(file.read_text())


async def gone(pid: int) -> None:
    """Return when there is no such process any more, or only what is left of it."""
    async with asyncio.timeout(LONGEST_S):
        while is_running(pid):
            await asyncio.sleep(0.05)


def is_running(pid: int) -> bool:
    """Whether a process works; one that ended and that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
