"""The C++ kernels with AddressSanitizer and UndefinedBehaviorSanitizer: memory and arithmetic."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
COMPILER = """#!/bin/sh
exec g++ "$@" -O1 -g1 -fsanitize=address,undefined -fno-sanitize-recover=undefined
"""
# Every instruction set and format with tails, skipped slots and full tiles; one activation.
CASES = "silu or many_rows or one_scale_a_row or out_of_range or empty"
OVERFLOW = """
import sys, ctypes
library = ctypes.CDLL(sys.argv[1])
library.overflow(4)
"""


@pytest.fixture(scope="module")
def compiler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `CXX` names: g++ that adds the sanitizers."""
    made = tmp_path_factory.mktemp("sanitizers") / "g++"
    made.write_text(COMPILER)
    made.chmod(0o755)
    return made


def environment(compiler: Path) -> dict[str, str]:
    """Python itself has no sanitizers, so they are loaded before it; it never frees some memory."""
    names = ("libasan.so", "libubsan.so")
    found = [
        subprocess.run(
            ["g++", f"-print-file-name={name}"], capture_output=True, text=True, check=True
        ).stdout.strip()
        for name in names
    ]
    return os.environ | {
        "ASAN_OPTIONS": "detect_leaks=0",
        "CXX": str(compiler),
        "LD_PRELOAD": " ".join(found),
        "XDG_CACHE_HOME": str(compiler.parent),
    }


@pytest.mark.slow
@pytest.mark.timeout(1000)
def test_nothing_is_read_or_written_outside(compiler: Path) -> None:
    """And no arithmetic is undefined, on every instruction set of this machine."""
    told = environment(compiler)
    build = [sys.executable, "-m", "collegium", "build"]
    plain = {name: value for name, value in told.items() if name != "LD_PRELOAD"}
    made = subprocess.run(
        build, env=plain, cwd=ROOT, capture_output=True, text=True, timeout=400, check=True
    )
    library = Path(made.stdout.split()[-1])
    assert library.is_relative_to(compiler.parent)
    assert b"__asan_report_load" in library.read_bytes()
    tests = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-k", CASES]
    done = subprocess.run(
        [*tests, "tests/kernels/moe/test_kernels.py"],
        env=told, cwd=ROOT, capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    assert int(done.stdout.split(" passed")[0].split()[-1]) > 40  # fewer without AVX-512


def test_the_sanitizers_see_an_overflow(compiler: Path) -> None:
    """Loaded like that, so that silence means something."""
    source, library = compiler.parent / "bad.cpp", compiler.parent / "bad.so"
    source.write_text('extern "C" int overflow(int n) { return (new int[n])[n]; }\n')
    subprocess.run([compiler, "-shared", "-fPIC", source, "-o", library], check=True)
    done = subprocess.run(
        [sys.executable, "-c", OVERFLOW, library],
        env=environment(compiler), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "heap-buffer-overflow" in done.stderr
