"""What we have from npm is what its README says, and what the package holds."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.repository import ROOT

STATIC = ROOT / "collegium" / "web" / "static"


@dataclass(frozen=True)
class Vendored:
    """A folder with a file of a package."""

    folder: Path
    file: str
    place: str
    """In the package."""
    licence: str

    def row(self, name: str) -> str:
        """A value of the README's table."""
        text = (self.folder / "README.md").read_text()
        found = re.search(rf"^\| {re.escape(name)} \| `?([^`|]+?)`? \|$", text, re.M)
        assert found is not None, f"the README names no '{name}'"
        return found[1]


ALL = [
    Vendored(STATIC / "vendor" / "marked", "marked.esm.js", "lib/marked.esm.js", "MIT"),
    Vendored(
        ROOT / "tests" / "browser" / "vendor" / "axe-core", "axe.min.js", "axe.min.js", "MPL-2.0"
    ),
]
each = pytest.mark.parametrize("vendored", ALL, ids=lambda v: v.folder.name)


@each
def test_the_file_is_the_one_that_the_readme_names(vendored: Vendored) -> None:
    """Its hash, the version in its head and its licence."""
    code = (vendored.folder / vendored.file).read_bytes()
    assert hashlib.sha256(code).hexdigest() == vendored.row(f"SHA-256 of `{vendored.file}`")
    assert f"v{vendored.row('Version')}".encode() in code[:100]
    assert vendored.row("Licence") == vendored.licence
    assert (vendored.folder / "LICENSE").stat().st_size > 1000


@pytest.mark.slow
@each
def test_the_files_are_those_of_the_package(vendored: Vendored, tmp_path: Path) -> None:
    """Byte by byte, of a package with the integrity that the README names."""
    command = ["npm", "pack", f"{vendored.row('Package')}@{vendored.row('Version')}", "--silent"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr.decode()[-500:]
    (package,) = tmp_path.glob("*.tgz")
    digest = base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode()
    assert f"sha512-{digest}" == vendored.row("Integrity of the package")
    with tarfile.open(package) as archive:
        for ours, theirs in {vendored.file: vendored.place, "LICENSE": "LICENSE"}.items():
            member = archive.extractfile(f"package/{theirs}")
            assert member is not None
            assert member.read() == (vendored.folder / ours).read_bytes(), ours


def test_nothing_of_the_page_parses_html() -> None:
    """Answers are other people's words: elements are made one by one."""
    parsers = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|DOMParser|document\.write|eval\(")
    ours = (STATIC / "js").rglob("*.js")
    assert [path.name for path in ours if parsers.search(path.read_text())] == []
