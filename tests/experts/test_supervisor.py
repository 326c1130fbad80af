"""The supervisor: an engine that crashes, hangs or never starts comes back, and none is left."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from collegium.errors import ExpertUnavailable
from collegium.experts.supervisor import Patience, Supervisor
from collegium.experts.vllm import as_child, free_port
from tests.experts.engines import IMPATIENT, STUB, StubEngine, alive, spec_of, stub_engine, until

FROM_NOTHING = Supervisor(spec_of("stub", Path("model")), Path("stub.log"))


async def test_it_starts_and_becomes_ready(tmp_path: Path) -> None:
    """First starting, then ready at an address that answers."""
    async with stub_engine(tmp_path) as engine:
        ready = await engine.ready()
        assert [status.state for status in engine.statuses] == ["starting", "ready"]
        assert engine.supervisor.require_ready("sql") == ready.base_url
        assert ready.pid is not None
        assert alive(ready.pid)
        await engine.supervisor.wait_ready()
        assert httpx.get(f"{ready.base_url}/health", trust_env=False).status_code == 200


async def test_a_crashed_engine_is_started_again(tmp_path: Path) -> None:
    """Failed in between, with a reason, and then a new incarnation."""
    async with stub_engine(tmp_path) as engine:
        first = await engine.ready()
        assert first.pid is not None
        os.kill(first.pid, signal.SIGKILL)
        second = await engine.ready(2)

        assert "ended with status -9" in engine.having("failed")[0].detail
        assert second.pid != first.pid
        assert engine.supervisor.incarnation == 2


async def test_an_engine_that_fails_again_and_again_is_started_ever_later(tmp_path: Path) -> None:
    """The wait doubles up to a limit, and people are told the engine's last words."""
    async with stub_engine(tmp_path, "crash") as engine:
        await until(lambda: len(engine.having("failed")) >= 2)
        detail = engine.having("failed")[0].detail
        assert "status 1 while starting (ValueError: these are no weights)" in detail
        assert "; restarting in" in detail
        with pytest.raises(ExpertUnavailable, match="engine 'stub' is"):
            engine.supervisor.require_ready("sql")

        engine.no_longer("crash")
        await engine.ready()


def test_the_wait_doubles_up_to_a_limit() -> None:
    """1, 2, 4 … 60 seconds, also after thousands of failures."""
    waits = [Patience().backoff_s(failures) for failures in (1, 2, 3, 6, 7, 5000)]
    assert waits == [1.0, 2.0, 4.0, 32.0, 60.0, 60.0]


async def test_an_engine_that_never_becomes_ready_is_given_up(tmp_path: Path) -> None:
    """Ended after its time, and started again."""
    async with stub_engine(tmp_path, "never", start_timeout_s=1.0) as engine:
        await until(lambda: engine.having("failed"))
        assert "not ready within 1 s" in engine.having("failed")[0].detail
        pid = engine.statuses[0].pid
        assert pid is not None
        assert not alive(pid)
        engine.no_longer("never")
        engine.supervisor._start_timeout_s = 60.0
        await engine.ready()


async def test_an_engine_that_hangs_is_noticed(tmp_path: Path) -> None:
    """It takes connections and says nothing, so it is ended and started again."""
    async with stub_engine(tmp_path) as engine:
        first = await engine.ready()
        engine.let("hang")
        await until(lambda: engine.having("failed"))
        assert "stopped answering" in engine.having("failed")[0].detail
        assert engine.supervisor.status.state != "ready"
        engine.no_longer("hang")
        await engine.ready(2)
        assert first.pid is not None
        assert not alive(first.pid)


async def test_an_engine_that_is_well_but_makes_nothing_is_noticed(tmp_path: Path) -> None:
    """Its core froze: health answers, requests do not."""
    async with stub_engine(tmp_path) as engine:
        await engine.ready()
        engine.let("frozen")
        with engine.supervisor.asked():
            await until(lambda: engine.having("failed"))
        assert "made no token" in engine.having("failed")[0].detail
        engine.no_longer("frozen")
        await engine.ready(2)


async def test_an_idle_engine_need_not_make_tokens(tmp_path: Path) -> None:
    """Silence without requests is no fault."""
    async with stub_engine(tmp_path) as engine:
        await engine.ready()
        await asyncio.sleep(1.5)
        assert not engine.having("failed")


async def test_a_crash_loop_ends(tmp_path: Path) -> None:
    """Until somebody starts it again."""
    patience = replace(IMPATIENT, most_failures=3, first_backoff_s=0.01)
    async with stub_engine(tmp_path, "crash", patience=patience) as engine:
        await until(lambda: "given up after 3" in engine.supervisor.status.detail)
        starts = engine.supervisor.incarnation
        await asyncio.sleep(0.3)
        assert engine.supervisor.incarnation == starts == 3
        engine.no_longer("crash")
        await engine.supervisor.start()
        await engine.ready()


async def test_draining_lets_requests_end(tmp_path: Path) -> None:
    """New ones are refused; the process ends when the last old one has."""
    async with stub_engine(tmp_path) as engine:
        pid = (await engine.ready()).pid or 0
        with engine.supervisor.asked():
            draining = asyncio.create_task(engine.supervisor.drain(30.0))
            await asyncio.sleep(0.3)
            with pytest.raises(ExpertUnavailable, match="takes no new requests"):
                engine.supervisor.require_ready("sql")
            assert alive(pid)
        await draining
        assert not alive(pid)
        await engine.supervisor.start()
        await engine.ready(2)


async def test_to_stop_is_to_end_everything_it_started(tmp_path: Path) -> None:
    """The whole process group, workers included."""
    async with stub_engine(tmp_path, "family") as engine:
        ready = await engine.ready()
        worker = int((tmp_path / "family").read_text())
        assert alive(worker)
        await engine.supervisor.stop()

        assert ready.pid is not None
        await until(lambda: not alive(worker) and not alive(ready.pid or 0))
        assert engine.supervisor.status.state == "stopped"
        with pytest.raises(ExpertUnavailable, match="stopped"):
            engine.supervisor.require_ready("sql")


async def test_an_engine_that_ignores_the_request_to_end_is_killed(tmp_path: Path) -> None:
    """After a grace."""
    patience = Patience(poll_s=0.02, stop_grace_s=0.2)
    async with stub_engine(tmp_path, "stubborn", patience=patience) as engine:
        pid = (await engine.ready()).pid
        await engine.supervisor.stop()
        assert pid is not None
        assert not alive(pid)


async def test_stopping_while_it_starts_leaves_nothing_behind(tmp_path: Path) -> None:
    """Also in the very moment in which its start is told."""
    async with stub_engine(tmp_path, "never") as engine:
        await until(lambda: engine.statuses)
        pid = engine.statuses[0].pid
        await engine.supervisor.stop()
        assert pid is not None
        assert not alive(pid)


async def test_what_never_started_can_be_stopped() -> None:
    """Nothing to do is no error."""
    await FROM_NOTHING.stop()
    assert FROM_NOTHING.status.state == "stopped"


async def test_an_engine_dies_when_we_are_killed(tmp_path: Path) -> None:
    """Even by SIGKILL, which leaves no time to clean up."""
    script = f"""
        import asyncio
        from pathlib import Path
        from tests.experts.engines import StubEngine

        async def main():
            engine = StubEngine(Path({str(tmp_path)!r}))
            await engine.supervisor.start()
            print((await engine.ready()).pid, flush=True)
            await asyncio.sleep(600)

        asyncio.run(main())
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        engine = int(parent.stdout.readline())
        assert alive(engine)
        parent.kill()
        await until(lambda: not alive(engine))


def test_an_engine_whose_parent_died_before_it_began_does_not_begin(tmp_path: Path) -> None:
    """The kernel tells of deaths to come, not of those that were."""
    command = as_child(["/bin/sh", "-c", f"touch {tmp_path / 'began'}"])
    orphaned = [word.replace(str(os.getpid()), "1") for word in command]
    assert subprocess.run(orphaned, check=False).returncode == 1
    assert not (tmp_path / "began").exists()
    subprocess.run(command, check=True)
    assert (tmp_path / "began").exists()


def test_callers_are_told_when_to_come_back() -> None:
    """About as long as a start takes usually, less what has passed, and at least a second."""
    with pytest.raises(ExpertUnavailable, match="'stub' is stopped") as info:
        FROM_NOTHING.require_ready("sql")
    assert info.value.retry_after_s is not None
    assert 1 <= info.value.retry_after_s <= 40


async def test_callers_of_a_failed_engine_wait_for_its_next_start(tmp_path: Path) -> None:
    """Its start and the wait before it."""
    slow = Patience(poll_s=0.02, first_backoff_s=500.0, longest_backoff_s=500.0)
    async with stub_engine(tmp_path, "crash", patience=slow) as engine:
        await until(lambda: engine.having("failed"))
        assert 500 < engine.supervisor.retry_after_s() <= 540


async def test_an_engine_that_can_not_be_run_is_failed(tmp_path: Path) -> None:
    """Its program is missing, which may change."""
    missing = tmp_path / "python"
    async with stub_engine(tmp_path, command=lambda spec, port: [str(missing)]) as engine:
        await until(lambda: len(engine.having("failed")) >= 2)
        assert re.search(r"can't be started: .*No such file", engine.having("failed")[0].detail)


async def test_a_fixed_port_that_is_taken_is_not_mistaken_for_the_engine(tmp_path: Path) -> None:
    """Whoever listens there may be healthy, and is not ours."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        spec = spec_of("stub", tmp_path, port=port)
        async with stub_engine(tmp_path, spec=spec) as engine:
            await until(lambda: engine.having("failed"))
            assert f"port {port} is taken" in engine.having("failed")[0].detail
            other.close()
            assert (await engine.ready()).base_url == f"http://127.0.0.1:{port}"


async def test_a_fixed_port_can_be_used_again_after_a_crash(tmp_path: Path) -> None:
    """Connections that linger in the kernel do not take it."""
    spec = spec_of("stub", tmp_path, port=free_port("127.0.0.1"))
    async with stub_engine(tmp_path, spec=spec) as engine:
        first = await engine.ready()
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"{first.base_url}/die", trust_env=False)
        assert (await engine.ready(2)).base_url == first.base_url


async def test_the_engine_is_never_asked_through_a_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever proxy the environment names for the world outside."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with stub_engine(tmp_path) as engine:
        await engine.ready()


def test_the_stub_is_what_these_tests_start(tmp_path: Path) -> None:
    """The seam is the command line alone."""
    engine = StubEngine(tmp_path, patience=IMPATIENT)
    assert str(STUB) in engine.command(engine.supervisor.spec, 1)
