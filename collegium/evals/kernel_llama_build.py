"""Build ggml, llama.cpp's library of operators, from llama-cpp-python's source package on PyPI."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from collegium.errors import SetupError
from collegium.evals.kernel_llama import LIBRARIES
from collegium.experts.embedded import Progress, ensure_made

PACKAGE = "llama-cpp-python==0.3.36"
LIMIT_S = 1800
OPTIONS = (
    "-DCMAKE_BUILD_TYPE=Release", "-DBUILD_SHARED_LIBS=ON", "-DGGML_NATIVE=ON",
    # Its own threads: a second OpenMP beside torch's would spin on the same cores.
    "-DGGML_OPENMP=OFF", "-DLLAMA_BUILD_COMMON=OFF", "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_TOOLS=OFF", "-DLLAMA_BUILD_EXAMPLES=OFF", "-DLLAMA_BUILD_SERVER=OFF",
)  # fmt: skip


def ensure_llama_cpp(cache: Path, progress: Progress) -> Path:
    """The folder of ggml's libraries under `cache`, built at the first call: some minutes.

    Needs cmake, a C++ compiler and PyPI (77 MB); SetupError says what is missing or failed.
    """
    task = f"Building ggml of {PACKAGE} (once, some minutes)"
    return ensure_made(cache / "llama.cpp", PACKAGE, _make, progress, task)


def _make(folder: Path) -> None:
    if not shutil.which("cmake"):
        raise SetupError("llama.cpp needs cmake to be built: pip install cmake; or leave it out")
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        scratch = Path(name)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-input"]
        _run([*pip, "--no-binary", ":all:", "--dest", str(scratch), PACKAGE], "downloaded")
        with tarfile.open(next(scratch.glob("*.tar.gz"))) as archive:
            archive.extractall(scratch, filter="data")
        source, built = next(scratch.glob("*/vendor/llama.cpp")), scratch / "build"
        _run(["cmake", "-S", str(source), "-B", str(built), *OPTIONS], "configured")
        jobs = str(os.cpu_count() or 1)
        _run(["cmake", "--build", str(built), "--target", "ggml", "--parallel", jobs], "compiled")
        for library in LIBRARIES:
            shutil.copy(built / "bin" / library, folder)


def _run(command: list[str], what: str) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=LIMIT_S)
    except subprocess.TimeoutExpired as exc:
        raise SetupError(f"llama.cpp was not {what} within {LIMIT_S} s; leave it out") from exc
    except subprocess.CalledProcessError as exc:
        said = (exc.stderr or exc.stdout).strip()[-600:]
        raise SetupError(f"llama.cpp can't be {what}; leave it out. It says: {said}") from exc
