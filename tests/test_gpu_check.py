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
    command(tmp_path, "python3", "exit 0")
    command(tmp_path, "cc", "exit 0")
    command(tmp_path, "nvidia-smi", "exit 9")
    return tmp_path


def command(machine: Path, name: str, body: str) -> None:
    """Put a command where the script finds it."""
    ours = ("collegium", "pytest", "python")
    folder = machine / (".venv/bin" if name in ours else "path")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{body}\n")
    (folder / name).chmod(0o755)


def checked(machine: Path, report: str = "out.json") -> subprocess.CompletedProcess[str]:
    """Run the script from a folder of the user's."""
    path = f"{machine / 'path'}:{os.environ['PATH']}"
    here = machine / "here"
    here.mkdir(exist_ok=True)
    return subprocess.run(
        [str(machine / "scripts" / "gpu-check"), report], cwd=here,
        env={"PATH": path}, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


def test_every_step_is_made(machine: Path) -> None:
    """And says where its report is."""
    done = checked(machine)
    assert done.returncode == 0, done.stderr
    for words in ("make setup", "collegium doctor", "test_engine_flags.py", "bench gpu"):
        assert words in done.stdout
    kernels = machine / "here" / "out-kernels.json"
    assert "bench kernels --device cuda" in kernels.read_text()
    assert f"Report: {kernels}" in done.stdout
    assert f"--report {machine / 'here' / 'out.json'}" in done.stdout
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


def test_a_gpu_that_torch_can_not_use_is_a_failure(machine: Path) -> None:
    """As with a driver that is too old: the processor was measured, which is not what was asked."""
    command(machine, "nvidia-smi", 'echo "GPU 0: NVIDIA H100 80GB HBM3"')
    command(machine, "python", "echo the driver is too old; exit 1")
    done = checked(machine)
    assert done.returncode == 1
    assert "torch sees none of these: GPU 0: NVIDIA H100" in done.stdout
    assert "the driver is too old" in done.stdout
    assert "gpu-check failed: GPU: nvidia-smi lists one that torch can't use" in done.stderr
    assert "Everything was measured" not in done.stdout


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("exit 1", "Python 3.11 or newer as 'python3'"),
        ('case "$2" in *ensurepip*) exit 1;; esac', "apt-get install python3-venv"),
        ('case "$2" in *Python.h*) exit 1;; esac', "apt-get install python3-dev"),
    ],
)
def test_what_the_machine_lacks_is_said_before_anything_is_installed(
    machine: Path, body: str, words: str
) -> None:
    """A bare machine's Python may be too old, or without what Triton compiles against."""
    command(machine, "python3", body)
    done = checked(machine)
    assert done.returncode == 1
    assert words in done.stderr
    assert "make setup" not in done.stdout


def test_a_report_that_can_not_be_written_is_refused_at_once(machine: Path) -> None:
    """Not after ten minutes of a GPU."""
    done = checked(machine, "nowhere/out.json")
    assert done.returncode == 1
    assert "there is no folder for" in done.stderr
    assert "make setup" not in done.stdout
