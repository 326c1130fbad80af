"""A peer's own virtual environment under the cache folder, identified by its contents.

It holds the peer and what we lack, with its own pins; torch, scikit-learn and whatever else our
environment has are read from there, after its own (750 MB of torch are not worth having thrice).
"""

import hashlib
import json
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from filelock import FileLock
from tqdm import tqdm

import collegium
from collegium.errors import SetupError
from collegium.evals.peers.catalogue import Package

MARKER = "installed.json"
INSTALL_LIMIT_S = 900


class Environments:
    """Peers' environments in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def python(self, package: Package) -> Path:
        """Return the interpreter of a peer's environment, which is made if there is none."""
        folder = self._folder / f"{package.name}-{package.version}-{_key(package)}"
        interpreter = folder / "bin" / "python"
        self._folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self._folder / f".{folder.name}.lock"):
            if not (folder / MARKER).is_file():
                shutil.rmtree(folder, ignore_errors=True)
                tqdm.write(f"Installing {package.name} {package.version}", file=sys.stderr)
                _make(folder, interpreter, package)
        return interpreter


def shared_paths() -> tuple[str, ...]:
    """Return where our environment's packages and our own code lie."""
    places = (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
    return tuple(dict.fromkeys((*places, str(Path(collegium.__file__).resolve().parents[1]))))


def _key(package: Package) -> str:
    """Tell environments apart by all that is in them."""
    parts = (*package.requirements, *shared_paths(), sys.version)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _make(folder: Path, interpreter: Path, package: Package) -> None:
    _run([sys.executable, "-m", "venv", "--without-pip", str(folder)], package)
    pip = [sys.executable, "-m", "pip", "--python", str(interpreter)]
    options = ["install", "--quiet", "--no-deps", "--retries", "1", "--no-input"]
    _run([*pip, *options, *package.requirements], package)
    # A .pth file's folders come after the environment's own, so the peer's pins win.
    library = next((folder / "lib").glob("python*")) / "site-packages"
    (library / "shared.pth").write_text("\n".join(shared_paths()) + "\n", encoding="utf-8")
    (folder / MARKER).write_text(json.dumps(package.requirements) + "\n", encoding="utf-8")


def _run(command: list[str], package: Package) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_LIMIT_S)
    except subprocess.TimeoutExpired as exc:
        raise SetupError(_message(package, f"no end after {INSTALL_LIMIT_S} s")) from exc
    except subprocess.CalledProcessError as exc:
        errors = [line for line in exc.stderr.splitlines() if line.startswith("ERROR")]
        why = errors[-1] if errors else exc.stderr.strip()[-300:]
        raise SetupError(_message(package, why)) from exc


def _message(package: Package, why: str) -> str:
    return (
        f"the peer {package.name} {package.version} can't be installed: {why}. It comes from PyPI, "
        f"so pip needs a network or an index that has it; leave out --peer {package.name} otherwise"
    )
