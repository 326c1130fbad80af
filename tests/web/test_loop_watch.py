"""Code that blocks the event loop is named in the log; code that hangs is waited for no longer."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from collegium.web.serving.timed_thread import in_time
from collegium.web.watching.loop_watch import LoopWatch
from tests.distributions import environment, installed, plugin

BLOCKS = """
import time

def blocks(**options):
    time.sleep(1.0)
"""
SCRIPT = """
import asyncio, logging
from acme_blocks import blocks
from collegium.web.watching.loop_watch import LoopWatch

async def main():
    watch = LoopWatch(patience_s=0.3)
    watch.start()
    blocks()
    await asyncio.sleep(0.6)
    watch.close()

logging.basicConfig()
asyncio.run(main())
"""


async def test_a_blocked_loop_is_told_of_once_and_how_long_it_took(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Where it is blocked; nothing while it works."""
    watch = LoopWatch(patience_s=0.4)
    watch.start()
    await asyncio.sleep(0.6)
    said_before = [r.getMessage() for r in caplog.records if "blocked" in r.getMessage()]
    time.sleep(0.9)  # a service of another test would tell of more than a second, too
    await asyncio.sleep(0.6)
    watch.close()
    first, last = (r.getMessage() for r in caplog.records if r.name.endswith("loop_watch"))
    assert said_before == []
    assert "the event loop is blocked" in first
    assert "test_a_blocked_loop_is_told_of_once_and_how_long_it_took (test_loop_watch.py:" in first
    told_s = float(last.removeprefix("the event loop was blocked for ").partition(" ")[0])
    assert told_s >= 0.9


def test_the_plugin_that_blocks_is_named(tmp_path: Path) -> None:
    """By its entry point and its distribution."""
    files = plugin("acme-blocks", {"checker.slow": "acme_blocks:blocks"}, {"acme_blocks": BLOCKS})
    target = installed(files, tmp_path / "source", tmp_path / "target")
    run = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(run, env=environment(target), capture_output=True, text=True, check=True)
    named = "in the extension checker.slow of acme-blocks 1.0: "
    assert named in done.stderr
    assert "blocks (acme_blocks.py:5)" in done.stderr


async def test_what_hangs_is_left(caplog: pytest.LogCaptureFixture) -> None:
    """In a thread that nobody waits for, the process neither; results and errors come back."""
    goes_on = threading.Event()
    with pytest.raises(TimeoutError):
        await in_time(goes_on.wait, 0.05)
    (thread,) = (t for t in threading.enumerate() if t.name == "foreign code")
    assert thread.daemon
    goes_on.set()
    thread.join(5)
    assert await in_time(lambda: 5, 5.0) == 5
    with pytest.raises(ZeroDivisionError):
        await in_time(lambda: 1 / 0, 5.0)
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]
