"""The README's session: two models of one's own, what a switch saves, the switch, a question."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.repository import ROOT
from tests.running_service import RunningService, running_service
from tests.service.scripted import PROMPTS, scripted

pytestmark = pytest.mark.slow
README = (ROOT / "README.md").read_text(encoding="utf-8")
CAN = {"9001": ("homework", "tickets", "units"), "9002": ("tickets", "units")}
"""What the model at each port of the README knows the answers of."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service without a pool of its own."""
    with running_service(tmp_path_factory.mktemp("readme"), COLLEGIUM_EMBEDDED="false") as service:
        yield service


def test_the_readme_is_short() -> None:
    """It is read by those who do not know yet whether they want to read more."""
    assert len(README.split()) <= 700


def test_the_session_of_the_readme(gateway: RunningService) -> None:
    """Each command as it stands there; what it prints is what is said to be printed."""
    with scripted(CAN["9001"]) as large, scripted(CAN["9002"]) as small:
        known = {"9001": str(large), "9002": str(small), PROMPTS: str(ROOT / PROMPTS)}
        for command in commands():
            for written, real in known.items():
                command = command.replace(written, real)
            words = shlex.split(command, comments=True)[1:]
            done = gateway.cli(*words, said="y\n")
            assert done.returncode == 0, (words, done.stderr)
            if words[0] == "learn":
                assert as_documented(done.stdout)
                (run,) = json.loads(gateway.cli("learn", "list", "--json").stdout)
                known["rtr_9c2e"] = run["router"]
        assert "small said 10000" in asked(gateway)


def commands() -> list[str]:
    """The lines of the README that run `collegium`."""
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith("collegium")]


def as_documented(printed: str) -> bool:
    """Whether what was printed has the lines of the README, but for the run's own names."""
    (block,) = re.findall(r"```text\n(.*?)```", README, re.DOTALL)
    lines = [_without_numbers(line) for line in printed.splitlines()]
    for line in block.splitlines():
        assert any(_without_numbers(line) in each for each in lines), (line, printed)
    assert re.search(r"7\d% less money .* 0\.0 points below large's", printed), printed
    return True


def _without_numbers(line: str) -> str:
    """A line that the order of answers does not change."""
    return re.sub(r"\d+(\.\d+)?", "#", re.sub(r"rtr_\w+", "rtr", " ".join(line.split())))


def asked(service: RunningService) -> str:
    """What the README's program prints."""
    (program,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    program = program.replace("http://127.0.0.1:8000", service.url)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
