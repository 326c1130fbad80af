"""`collegium pool plan`: the plan as a table and as JSON, and what it ends with."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from collegium.cli import main
from collegium.cli.pool_command import command
from collegium.errors import SetupError
from tests.fake_nvml import FakeCard, FakeNvml, install
from tests.repository import ROOT

POOLS = ROOT / "docs" / "examples" / "pools"


def test_the_plan_is_printed_as_json(tmp_path: Path) -> None:
    """Cards, placements, adapters with their base, and what does not fit."""
    done = CliRunner().invoke(
        command, ["plan", "--gpus", "1x24", str(POOLS / "one-24.toml"), "--json"]
    )
    assert done.exit_code == 0, done.output
    plan = json.loads(done.output)
    assert plan["loras"] == {"summaries": "llama-3b", "labels": "llama-3b"}
    assert {p["engine"]: p["cards"] for p in plan["placements"]} == {
        "llama-8b-awq": [0],
        "llama-3b": [0],
    }
    taken = sum(p["gib"] for p in plan["placements"])
    assert plan["cards"][0]["left_gib"] == pytest.approx(0.92 * 24 - taken)
    assert (plan["unplaced"], plan["moved"], plan["optimal"]) == ({}, [], True)


@pytest.mark.parametrize(
    ("gpus", "pool", "said"),
    [
        ("1x24", "two-80", "Does not fit: llama-70b-fp8: it takes"),
        ("1x24", "lost", "lost.toml can't be read: No such file or directory"),
        ("0x24", "one-24", "--gpus: '0x24' is no number of GPUs and the GiB of each, such as 2x80"),
    ],
)
def test_a_plan_that_fails_ends_with_one(
    gpus: str,
    pool: str,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The whole `collegium` command says why in one line."""
    file = str(POOLS / f"{pool}.toml")
    monkeypatch.setattr(sys, "argv", ["collegium", "pool", "plan", "--gpus", gpus, file])
    with pytest.raises(SystemExit) as ended:
        main()
    shown = capsys.readouterr()
    assert ended.value.code == 1
    assert said in shown.out + shown.err
    assert "Traceback" not in shown.err


def test_without_gpus_this_machines_are_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    """As NVML tells them; without any, they have to be named."""
    arguments = ["plan", str(POOLS / "one-24.toml")]
    install(monkeypatch, FakeNvml(FakeCard(24.0), FakeCard(24.0)))
    done = CliRunner().invoke(command, arguments)
    assert "Card 1: " in done.output
    install(monkeypatch, None)
    failed = CliRunner().invoke(command, arguments)
    assert isinstance(failed.exception, SetupError)
    assert "as --gpus 2x80" in str(failed.exception)


@pytest.mark.parametrize(
    ("gpus", "pool"), [("1x24", "one-24"), ("2x80", "two-80"), ("8x80", "eight-80")]
)
def test_the_guides_plans_are_what_the_solver_finds(
    gpus: str, pool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each worked example of docs/guides/gpus.md, to the letter."""
    monkeypatch.chdir(ROOT)
    words = ["plan", "--gpus", gpus, f"docs/examples/pools/{pool}.toml"]
    done = CliRunner().invoke(command, words)
    guide = (ROOT / "docs" / "guides" / "gpus.md").read_text()
    assert f"$ collegium pool {' '.join(words)}\n{done.output}```" in guide
