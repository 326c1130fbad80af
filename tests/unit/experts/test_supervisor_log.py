"""What a supervisor keeps of an engine's output, whatever becomes of the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.experts.engines import stub_engine, until


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
