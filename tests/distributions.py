"""Distributions that tests install into a folder, as pip does for a user."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.repository import ROOT


def installed(files: Mapping[str, str], source: Path, target: Path) -> Path:
    """Write the files of a distribution under `source` and install it into `target`."""
    source.mkdir(parents=True)
    for name, content in files.items():
        (source / name).write_text(content, encoding="utf-8")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation",
         "--no-index", "--disable-pip-version-check", "--target", str(target), str(source)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return target


def plugin(name: str, entries: Mapping[str, str], modules: Mapping[str, str]) -> dict[str, str]:
    """The files of a distribution with these extensions."""
    lines = "\n".join(f'"{entry}" = "{value}"' for entry, value in entries.items())
    names = ", ".join(f'"{module}"' for module in modules)
    project = f"""
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "{name}"
version = "1.0"
[project.entry-points."collegium.extensions"]
{lines}
[tool.setuptools]
py-modules = [{names}]
"""
    return {"pyproject.toml": project, **{f"{m}.py": text for m, text in modules.items()}}


def environment(*targets: Path, **more: str) -> dict[str, str]:
    """The environment in which these folders are installed beside this checkout."""
    path = os.pathsep.join(map(str, (*targets, ROOT)))
    return os.environ | {"PYTHONPATH": path} | more
