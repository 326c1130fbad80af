"""The wheel in an environment that has nothing else, as on a machine where pip installed it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import venv
from dataclasses import dataclass
from pathlib import Path

from tests.repository import ROOT

BUILT_FROM = ("pyproject.toml", "README.md", "LICENSE", "collegium")


@dataclass(frozen=True)
class BareInstall:
    """An environment with the wheel, an empty home and a folder with nothing beside it."""

    folder: Path
    megabytes: float
    seconds: float

    def environment(self, **settings: str) -> dict[str, str]:
        """What commands see: no setting, module or cache of the machine's own."""
        kept = {k: v for k, v in os.environ.items() if k in ("LANG", "OPENBLAS_CORETYPE")}
        path = f"{self.folder / 'venv' / 'bin'}:/usr/bin:/bin"
        return {**kept, "HOME": str(self.folder / "home"), "PATH": path, **settings}

    def run(
        self, *command: str, said: str | None = None, **settings: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of the environment in its folder."""
        program = str(self.folder / "venv" / "bin" / command[0])
        return subprocess.run(
            [program, *command[1:]],
            cwd=self.folder / "work",
            env=self.environment(**settings),
            input=said,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


def install(folder: Path) -> BareInstall:
    """Build the wheel from a copy of the sources, and install it from the usual index."""
    wheel = build(folder)
    for name in ("home", "work"):
        (folder / name).mkdir()
    venv.create(folder / "venv", with_pip=True)
    started = time.monotonic()
    pip = [str(folder / "venv" / "bin" / "pip"), "install", "--quiet", str(wheel)]
    subprocess.run(pip, check=True, cwd=folder / "work", capture_output=True, text=True)
    seconds = time.monotonic() - started
    files = [path for path in (folder / "venv").rglob("*") if path.is_file()]
    size = sum(path.lstat().st_size for path in files if not path.is_symlink())
    return BareInstall(folder, size / 1e6, seconds)


def build(folder: Path) -> Path:
    """The wheel; what an earlier build left in the checkout can't get into it."""
    sources = folder / "sources"
    sources.mkdir()
    for name in BUILT_FROM:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, sources / name, ignore=shutil.ignore_patterns("*.pyc"))
        else:
            shutil.copyfile(ROOT / name, sources / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--wheel-dir", str(folder), str(sources)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    (wheel,) = folder.glob("collegium-*.whl")
    return wheel
