"""`collegium batch large` without a cluster: what it prints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from collegium.cli import cli
from collegium.web.batch.large import run


def test_what_ray_says_is_no_part_of_the_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It prints to standard output that a node was lost; what is read by programs is JSON alone."""

    def answer_all(*_: Any, **__: Any) -> Iterator[dict[str, int]]:
        print("(raylet) The node with node id 84536c has been marked dead")  # noqa: T201
        yield {"answered": 3, "failed": 1}

    monkeypatch.setattr(run, "connect", lambda address: None)
    monkeypatch.setattr(run, "plan_all", lambda *_, **__: iter(({"planned": 4},)))
    monkeypatch.setattr(run, "answer_all", answer_all)
    source = tmp_path / "in.jsonl"
    source.write_text("{}\n")
    words = ["batch", "large", str(source), str(tmp_path / "out"), "--ray", "auto", "--json"]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {"planned": 4, "answered": 3, "failed": 1}
    assert "marked dead" in done.stderr
