"""Compile the C++ kernels once per version of their source and of g++; takes some seconds.

`collegium build` does it at set-up; else the first use does. Without a compiler
nothing breaks: what was built before is used, or the torch reference computes, slower (`isa.py`).
"""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

log = logging.getLogger(__name__)

SOURCES = Path(__file__).parents[1] / "csrc"
COMMON = [
    "-std=c++17", "-O3", "-fPIC", "-fvisibility=hidden", "-Wall", "-fno-math-errno",
    "-ffp-contract=off",  # else each height of a tile may round in its own way
    "-DTORCH_TARGET_VERSION=0x020a000000000000",  # stable ABI: 2.10 and later run the same binary
]  # fmt: skip
# Not -march: GCC 12 knows no znver4, and a name would promise more than the code needs.
AVX2 = ["-mavx2", "-mfma", "-mf16c"]
AVX512 = [*AVX2, "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mprefer-vector-width=512"]
AVX512_BF16 = [*AVX512, "-mavx512bf16", "-mavx512vnni", "-mavx512vbmi"]
AMX = ["-mamx-tile", "-mamx-bf16", "-mamx-int8"]  # since GCC 11
FLAGS = {
    "isa_avx2": AVX2,
    "isa_avx512": AVX512,
    "isa_avx512bf16": AVX512_BF16,
    "isa_amx": [*AVX512_BF16, *AMX],
}


class CannotBuild(Exception):
    """There is no compiler, or it failed; the message says which."""


def library() -> Path:
    """Return the shared library of the present source, compiling it if necessary.

    Where no compiler is there, or it fails, it is the last one that another compiler made.
    """
    source, compiler = _fingerprint(), _compiler()
    others = cache_folder().glob(f"moe-{source}*.so")
    earlier = max(others, key=lambda path: path.stat().st_mtime, default=None)
    if compiler is None:
        if earlier is None:
            raise CannotBuild("no C++ compiler (g++) is installed")
        return earlier
    made = cache_folder() / f"moe-{source}-{_identity(compiler)}.so"
    if not made.is_file():
        try:
            _compile(compiler, made)
        except CannotBuild as exc:
            if earlier is None:
                raise
            log.warning("the MoE kernels stay those of an earlier compiler: %s", exc)
            return earlier
    return made


def cache_folder() -> Path:
    """The folder for files that are built once per machine."""
    if chosen := os.environ.get("COLLEGIUM_CACHE_DIR"):  # the setting `cache_dir`
        return Path(chosen) / "kernels"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "collegium" / "kernels"


def _compiler() -> str | None:
    found = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
    return found if found and shutil.which(found) else None


def _identity(compiler: str) -> str:
    """Changes with the compiler's version, so that a newer one may build what an older could not.

    Asked at every start: 2 to 7 ms (g++ 12, on a noisy virtual machine).
    """
    asked = subprocess.run([compiler, "--version"], capture_output=True, check=False)
    return hashlib.sha256(asked.stdout).hexdigest()[:8]


def _sources(compiler: str) -> list[Path]:
    """Return the translation units that the compiler and this processor's family support."""
    x86 = platform.machine() in ("x86_64", "AMD64")
    found = [s for s in sorted(SOURCES.glob("*.cpp")) if x86 or s.stem not in FLAGS]
    if not x86 or _knows(compiler, AMX):
        return found
    log.warning("%s knows no AMX (GCC 11 does): the MoE kernels are built without it", compiler)
    return [s for s in found if s.stem != "isa_amx"]


def _knows(compiler: str, flags: list[str]) -> bool:
    """Whether the compiler accepts the flags; other failures are left to the build."""
    tried = [compiler, *flags, "-x", "c++", "-fsyntax-only", "-"]
    words = subprocess.run(tried, input="", capture_output=True, text=True, check=False).stderr
    return not any(flag in words for flag in flags)


def _fingerprint() -> str:
    """Changes with the source, the flags and the machine."""
    digest = hashlib.sha256(f"{platform.machine()} {COMMON} {FLAGS}".encode())
    for source in sorted(SOURCES.iterdir()):
        if source.suffix in (".cpp", ".h"):
            digest.update(source.name.encode() + source.read_bytes())
    return digest.hexdigest()[:16]


def _compile(compiler: str, made: Path) -> None:
    """Compile each translation unit in its own process, then link; the result appears
    atomically.
    """
    import torch

    home = Path(torch.__file__).parent
    includes = ["-I", str(home / "include")]
    try:
        made.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=made.parent) as name:
            folder = Path(name)
            objects = {unit: str(folder / f"{unit.stem}.o") for unit in _sources(compiler)}
            _run(
                [compiler, *COMMON, *FLAGS.get(unit.stem, []), *includes, "-c", unit, "-o", made_of]
                for unit, made_of in objects.items()
            )
            link: list[str | Path] = [
                compiler,
                "-shared",
                *objects.values(),
                "-o",
                folder / made.name,
            ]
            _run([[*link, "-L", home / "lib", "-ltorch_cpu"]])
            (folder / made.name).replace(made)
    except OSError as exc:
        raise CannotBuild(f"can't write to {made.parent}: {exc.strerror}") from exc


def _run(commands: Iterable[Sequence[str | Path]]) -> None:
    """Run all commands at once; raise CannotBuild with the output of the first that fails."""
    running = [
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for command in commands
    ]
    words = [process.communicate()[1] for process in running]
    for process, said in zip(running, words, strict=True):
        if process.returncode:
            raise CannotBuild(f"the compiler failed: {said[-2000:]}")
