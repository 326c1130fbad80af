"""The guide "Your models, your traffic": its commands, in its order, on the real pool."""

from __future__ import annotations

import json
import re
import shlex
import time
from pathlib import Path

import httpx
import pytest

from collegium.experts.specialists.tasks import TASKS
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
    """The guide's commands, as they stand there."""
    blocks = re.findall(r"```sh\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith("collegium")]


def test_the_commands_of_the_guide_work(service: RunningService, tmp_path: Path) -> None:
    """From a file of prompts to a router that serves, and back."""
    known = {"prompts.jsonl": str(prompts(tmp_path / "prompts.jsonl"))}
    seen = set()
    before = httpx.get(f"{service.url}/v1/router/versions").json()["serving"]
    for command in commands():
        words = [known.get(word, word) for word in shlex.split(command)[1:]]
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
    deadline = time.monotonic() + 20
    while served(service) != before:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def served(service: RunningService) -> str:
    """The router that serves now."""
    return str(httpx.get(f"{service.url}/v1/router/versions").json()["serving"])
