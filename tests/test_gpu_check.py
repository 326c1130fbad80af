"""`scripts/gpu-check`, with commands in the place of those that it calls."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "gpu-check"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A checkout whose commands all succeed, on a machine with a GPU."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(SCRIPT, tmp_path / "scripts")
    for name in ("collegium", "pytest", "python", "make"):
        command(tmp_path, name, f'echo "{name} $*"')
    return tmp_path


def command(machine: Path, name: str, body: str) -> None:
    """Put a command where the script finds it."""
    folder = machine / ("path" if name == "make" else ".venv/bin")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{body}\n")
    (folder / name).chmod(0o755)


def checked(machine: Path) -> subprocess.CompletedProcess[str]:
    """Run the script."""
    path = f"{machine / 'path'}:{os.environ['PATH']}"
    return subprocess.run(
        [str(machine / "scripts" / "gpu-check"), "out.json"],
        env={"PATH": path}, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


def test_every_step_is_made(machine: Path) -> None:
    """And says where its report is."""
    done = checked(machine)
    assert done.returncode == 0, done.stderr
    for words in ("make setup", "collegium doctor", "test_engine_flags.py", "bench gpu"):
        assert words in done.stdout
    assert "bench kernels --device cuda" in (machine / "out-kernels.json").read_text()
    assert "Report: out-kernels.json" in done.stdout
    assert done.stdout.endswith("Everything was measured.\n")


def test_what_fails_is_named_and_the_rest_is_made(machine: Path) -> None:
    """With the status; the kernels are left out where torch sees no GPU."""
    command(machine, "python", "exit 1")
    command(machine, "pytest", "exit 3")
    command(machine, "collegium", 'test "$1" = bench && echo "collegium $*" || exit 1')
    done = checked(machine)
    assert done.returncode == 1
    assert "kernels: left out, torch sees no GPU" in done.stdout
    assert "collegium bench gpu" in done.stdout
    assert "gpu-check failed: doctor: exit status 1" in done.stderr
    assert "gpu-check failed: vLLM's parser and our options: exit status 3" in done.stderr


def test_without_packages_nothing_is_measured(machine: Path) -> None:
    """There is nothing to run."""
    command(machine, "make", "exit 2")
    done = checked(machine)
    assert done.returncode == 1
    assert "could not be installed" in done.stderr
    assert "doctor" not in done.stdout
