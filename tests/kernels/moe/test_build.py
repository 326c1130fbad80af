"""Which build of the C++ kernels is used: a compiler's own, else one that was there before."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from collegium.cli import cli
from collegium.kernels.moe import build

CODE = 'extern "C" __attribute__((visibility("default"))) int the_{}() {{ return 1; }}\n'
# GCC 10 in all that matters here: its version, and how it says that it knows no AMX.
OLD = """#!/bin/sh
case "$*" in
  --version) echo "g++ 10.2.1"; exit;;
  *-mamx*) echo "unrecognized option -mamx-tile" >&2; exit 1;;
esac
exec g++ "$@"
"""
BROKEN = """#!/bin/sh
case "$*" in --version) echo "g++ 99"; exit;; esac
echo "no space left" >&2; exit 1
"""
needs_x86 = pytest.mark.skipif(
    not build._knows("g++", ["-mavx2"]), reason="NOT TESTED: no x86 compiler"
)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A source of two small units in the place of the kernels', and an empty cache."""
    sources = tmp_path / "csrc"
    sources.mkdir()
    for stem in ("ops", "isa_amx"):
        (sources / f"{stem}.cpp").write_text(CODE.format(stem))
    monkeypatch.setattr(build, "SOURCES", sources)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("COLLEGIUM_CACHE_DIR", raising=False)
    monkeypatch.delenv("CXX", raising=False)
    return sources


def compiler(path: Path, script: str) -> str:
    """One that is a shell script."""
    path.write_text(script)
    path.chmod(0o755)
    return str(path)


@needs_x86
def test_a_newer_compiler_builds_what_the_old_one_could_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Either finds its own build again."""
    monkeypatch.setenv("CXX", compiler(tmp_path / "old", OLD))
    with caplog.at_level(logging.WARNING):
        without = build.library()
    assert "knows no AMX" in caplog.text
    assert b"the_ops" in without.read_bytes()
    assert b"the_isa_amx" not in without.read_bytes()

    monkeypatch.delenv("CXX")
    upgraded = build.library()
    assert b"the_isa_amx" in upgraded.read_bytes()

    made = {path: path.stat().st_mtime_ns for path in build.cache_folder().iterdir()}
    assert build.library() == upgraded
    monkeypatch.setenv("CXX", str(tmp_path / "old"))
    assert build.library() == without
    assert made == {path: path.stat().st_mtime_ns for path in build.cache_folder().iterdir()}


def test_a_machine_without_a_compiler_uses_the_last_build(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, small: Path
) -> None:
    """Of the present source: another one's is not loaded."""
    built = build.library()
    older = built.with_name(built.name[:-11] + "00000000.so")
    older.write_bytes(b"of a compiler before that")
    os.utime(older, (0, 0))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert build.library() == built
    (small / "ops.cpp").write_text("int another;")
    with pytest.raises(build.CannotBuild, match="no C"):
        build.library()


def test_a_compiler_that_fails_leaves_the_last_build(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And says why; where there was none it is an error, and nothing is left behind."""
    works = build.library()
    monkeypatch.setenv("CXX", compiler(tmp_path / "broken", BROKEN))
    assert build.library() == works
    assert "stay those of an earlier compiler: the compiler failed: no space left" in caplog.text
    works.unlink()
    with pytest.raises(build.CannotBuild, match="the compiler failed: no space left"):
        build.library()
    assert list(build.cache_folder().iterdir()) == []


def test_without_a_compiler_torch_computes() -> None:
    """In a process that never built anything; the log says why it is slow."""
    code = (
        "import logging, os, tempfile; logging.basicConfig(); "
        "os.environ.update(CXX='no-such-compiler', XDG_CACHE_HOME=tempfile.mkdtemp()); "
        "from collegium.kernels.moe.isa import chosen; print(chosen())"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.stdout.strip() == "torch"
    assert "no C++ compiler" in ended.stderr


def test_the_command_builds_into_the_cache_that_is_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And says what it lacks without failing a set-up."""
    monkeypatch.setenv("COLLEGIUM_CACHE_DIR", str(tmp_path / "chosen"))
    done = CliRunner().invoke(cli, ["build"])
    assert done.exit_code == 0, done.output
    assert str(build.library()) in done.output
    assert build.library().parent == tmp_path / "chosen" / "kernels"
    monkeypatch.setattr(build, "library", refuse)
    done = CliRunner().invoke(cli, ["build"])
    assert done.exit_code == 0
    assert "PyTorch computes instead: no compiler" in done.output


def refuse() -> Path:
    raise build.CannotBuild("no compiler")
