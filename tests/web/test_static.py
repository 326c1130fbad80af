"""The chat page's models and helpers, by node's own test runner: tests/web/static."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.repository import ROOT

STATIC = ROOT / "collegium" / "web" / "static"
TESTS = ROOT / "tests" / "web" / "static"
OLDEST = (18, 19)
"""The first node with hooks for imports (`module.register`), which `page.mjs` needs."""


def node() -> str:
    """The program; without it the tests fail instead of being skipped."""
    found = shutil.which("node")
    if found is None:
        pytest.fail(
            "the chat page's tests need node: run scripts/system-packages or install Node.js "
            f"{'.'.join(map(str, OLDEST))} or newer (Debian: apt-get install nodejs)"
        )
    told = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    version = tuple(map(int, re.findall(r"\d+", told)[:2]))
    assert version >= OLDEST, f"node is too old for the chat page's tests: {told.strip()}"
    return found


def test_the_chat_page_passes_its_unit_tests() -> None:
    """All files in one run, whose output is shown if it fails."""
    files = sorted(map(str, TESTS.rglob("*.test.js")))
    command = [node(), "--import", str(TESTS / "page.mjs"), "--test", "--test-reporter=spec"]
    done = subprocess.run(
        [*command, *files], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"\n{done.stdout}{done.stderr}"
    ran = re.search(r"^\S pass (\d+)$", done.stdout, re.MULTILINE)
    assert ran is not None, done.stdout
    assert int(ran[1]) > len(files)


def modules() -> list[str]:
    """What has no DOM of its own; views are for tests/browser."""
    parts = ("api", "lib", "markdown", "models")
    found = [path for part in parts for path in (STATIC / "js" / part).glob("*.js")]
    return sorted(str(path.relative_to(STATIC)) for path in found)


@pytest.mark.parametrize("module", modules())
def test_each_module_has_tests(module: str) -> None:
    """In the same place under tests/web/static, and they import it."""
    tests = TESTS / Path(module).with_suffix(".test.js")
    assert tests.exists(), f"{module} has no tests"
    assert f'from "/static/{module}"' in tests.read_text()
