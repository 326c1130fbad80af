"""The guide "Your models, your traffic": its commands, in its order, on the real pool."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import httpx
import pytest

from collegium.evals.tasks import TASKS
from tests.running_service import RunningService

pytestmark = pytest.mark.slow
GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "your-models.md"
EACH = 16


def prompts(path: Path) -> Path:
    """Questions of two applications, with their answers."""
    rows = [
        {
            "request": {"messages": [{"role": "user", "content": e.prompt}], "max_tokens": 40},
            "application": name,
            "reference": e.reference,
        }
        for name in ("labels", "lists")
        for e in TASKS[name].examples("test", EACH, 5)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def commands() -> list[str]:
    """The guide's commands from "Replay, mark, fit" on, as they stand there.

    Its first block is an overview of the same commands; `--from-log` is run by
    tests/service/test_recorded_traffic.py.
    """
    _, _, walk = GUIDE.read_text(encoding="utf-8").partition("## Replay, mark, fit")
    blocks = re.findall(r"```sh\n(.*?)```", walk, re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith("collegium")]


def test_the_commands_of_the_guide_work(service: RunningService, tmp_path: Path) -> None:
    """From a file of prompts to a router that serves, and back.

    These prompts have references, so nothing is left to confirm: test_recorded_traffic.py confirms
    a judge's marks in a terminal.
    """
    known = {"prompts.jsonl": str(prompts(tmp_path / "prompts.jsonl"))}
    seen = set()
    before = httpx.get(f"{service.url}/v1/router/versions").json()["serving"]
    for command in commands():
        words = [known.get(word, word) for word in shlex.split(command, comments=True)[1:]]
        if words[:2] == ["learn", "--from"]:
            words += ["--experts", "smollm2,labels,lists", "--no-race"]
        done = service.cli(*words, said="y\n" if "--from" in words else "q\n")
        assert done.returncode == 0, (words, done.stderr)
        seen.add(" ".join(words[:2]))
        if "--from" in words:
            (run,) = json.loads(service.cli("learn", "list", "--json").stdout)
            known |= {"lrn_4f1c": run["id"], "rtr_9c2e": run["router"]}
            assert "costs nothing, so there is no money to save" in done.stdout
        if words[:2] == ["learn", "fit"]:
            (run, *_) = json.loads(service.cli("learn", "list", "--json").stdout)
            known["rtr_9c2e"] = run["router"]
    told = {"learn --from", "learn confirm", "learn fit", "router promote", "router rollback"}
    assert told <= seen
    assert served(service) == before


def served(service: RunningService) -> str:
    """The router that serves now."""
    return str(httpx.get(f"{service.url}/v1/router/versions").json()["serving"])
