"""What a supervisor keeps of an engine's output, whatever becomes of the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from collegium.experts.engine_log import last_error
from tests.experts.engines import stub_engine, until


async def test_a_log_that_can_not_be_written_costs_the_log_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file lies where its folder should be."""
    (tmp_path / "logs").write_text("in the way")
    async with stub_engine(tmp_path) as engine:
        await engine.ready()
    assert "an engine goes on without its log" in caplog.text


async def test_a_full_disk_costs_the_log_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Every write of the engine's output fails; the engine never learns of it."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "stub.log").symlink_to("/dev/full")
    async with stub_engine(tmp_path) as engine:
        await engine.ready()
    assert "No space left on device" in caplog.text


async def test_a_large_log_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old one is kept beside it."""
    monkeypatch.setattr("collegium.experts.engine_log.MOST_LOG_BYTES", 100)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "stub.log").write_text("x" * 200)
    async with stub_engine(tmp_path) as engine:
        await engine.ready()
    assert (tmp_path / "logs" / "stub.1.log").read_text() == "x" * 200
    assert (tmp_path / "logs" / "stub.log").stat().st_size < 100


async def test_last_words_are_of_the_last_process(tmp_path: Path) -> None:
    """An error of an earlier run, still in the log, explains nothing."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "stub.log").write_text("ValueError: of yesterday\n")
    async with stub_engine(tmp_path, "never", start_timeout_s=0.5) as engine:
        await until(lambda: engine.having("failed"))
        assert "yesterday" not in engine.having("failed")[0].detail


# From vLLM 0.32, started on a model without weights; shortened.
FAILED = """\
(Worker pid=7335) ERROR 11-27 02:53:06 [multiproc_executor.py:953]     raise RuntimeError(
(Worker pid=7335) ERROR 11-27 02:53:06 [multiproc_executor.py:953] RuntimeError: no weights in `x`
(EngineCore pid=7321) INFO 11-27 02:53:08 [multiproc_executor.py:486] all workers exited gracefully
Exception: WorkerProc initialization failed due to an exception. See stack trace for root cause.
    raise RuntimeError(
RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}
(APIServer pid=7305) WARNING 11-27 02:53:09 [utils.py:255] This can cause errors like `OSError: x`
"""


def test_the_cause_is_told_and_not_who_else_ended_of_it() -> None:
    """A worker's error ends the engine's core, and that the server."""
    assert last_error(FAILED) == "RuntimeError: no weights in `x`"
    assert last_error("[rank0]: torch.OutOfMemoryError: x\n") == "torch.OutOfMemoryError: x"
    assert last_error("INFO 11-27 02:53:08 [a.py:1] Error handlers are ready\n") is None
