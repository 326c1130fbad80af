"""`learn --from-log --judge`: from traffic without references to a router, on scripted models."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.repository import ROOT
from tests.running_service import RunningService, running_service
from tests.service.scripted import PROMPTS, scripted
from tests.service.scripted_model import UNKNOWN
from tests.service.terminal import typed

pytestmark = pytest.mark.slow
APPLICATIONS = ("homework", "tickets", "units")
TIES = 2 / 3
"""Of the small model's answers, that are as good as the large one's: a tie is half a win."""
PROMISE = re.compile(r"\d+ % less money \[|show no saving|do not support a saving")
"""What the report's first sentence says of the saving, once it may say something."""
PRICES = {"large": (3, 15), "small": (0.15, 0.6), "judge": (1, 4)}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service that records what it is asked and answers."""
    settings = {"COLLEGIUM_EMBEDDED": "false", "COLLEGIUM_RECORD": "full"}
    folder = tmp_path_factory.mktemp("recorded")
    with running_service(folder, **settings) as service:
        yield service


def test_recorded_traffic_is_replayed_and_judged(gateway: RunningService, tmp_path: Path) -> None:
    """The judge alone says that the small model can't do the homework; then people confirm it."""
    with (
        scripted(APPLICATIONS) as large,
        scripted(("tickets", "units")) as small,
        scripted(()) as judge,
    ):
        for name, port in {"large": large, "small": small, "judge": judge}.items():
            added = gateway.cli("expert", "add", name, *where(port, *PRICES[name]))
            assert added.returncode == 0, added.stderr
        for row in rows():
            asked(gateway, row)
        words = ["--judge", "judge", "--experts", "large,small", "--budget-usd", "5"]
        done = gateway.cli("learn", "--from-log", *words, said="y\n")
        assert done.returncode == 0, done.stderr
        assert "Too few marks are confirmed, so no saving is promised" in done.stdout
        assert PROMISE.search(done.stdout) is None
        run = latest_run(gateway)
        assert run["status"] == "finished", run
        assert run["estimate"]["answers_reused"] == len(rows())
        assert not run["report"]["confirmed"]
        refused = gateway.cli("router", "promote", run["router"])
        assert refused.returncode == 1
        assert "marks of which too few are confirmed" in refused.stderr
        confirm(gateway, run["id"], 60)
        done = gateway.cli("learn", "fit", run["id"], "--html", str(tmp_path / "run.html"))
        assert done.returncode == 0, done.stderr
        assert "Too few marks" not in done.stdout
        assert PROMISE.search(done.stdout), done.stdout
        run = latest_run(gateway)
        assert run["report"]["confirmed"]
        best = {row["application"]: row["best_expert"] for row in run["report"]["applications"]}
        assert best == {"homework": "large", "tickets": "small", "units": "small"}
        assert run["report"]["policies"]["cheap"]["saved"] > 0.4
        measured = {row["expert"]: row["measured"] for row in run["report"]["experts"]}
        small = measured["small"]
        assert (measured["large"], small["confirmed"], small["judged"]) == (None, 60, 120)
        assert small["low"] <= TIES / 2 <= small["high"]
        shown = f"{small['quality']:.3f} [{small['low']:.3f}, {small['high']:.3f}]"
        assert shown in done.stdout
        assert shown in (tmp_path / "run.html").read_text()
        assert "Marks by judge judge (pairwise): 240; checked on 60 confirmed ones" in done.stdout
        done = gateway.cli("router", "promote", run["router"])
        assert done.returncode == 0, done.stderr


def confirm(gateway: RunningService, run_id: str, count: int) -> None:
    """Read a sample of answers in the terminal and say which are better, as a person would."""
    said = typed(gateway, "learn", "confirm", run_id, "--count", str(count), answers=better)
    assert f"[{count} of {count}]" in said
    assert f"{count} marks are kept. Fit again with `collegium learn fit {run_id}`." in said


def better(shown: str) -> str:
    """The key for the better one of two answers, of which one may say nothing."""
    answers = re.findall(r"Answer [12]:\n(.*?)\n\n", shown, re.DOTALL)
    first, second = (text.strip() != UNKNOWN for text in answers)
    return "t" if first == second else "1" if first else "2"


def where(port: int, input_price: float, output_price: float) -> list[str]:
    """The options that register a scripted model."""
    prices = ["--input-price", str(input_price), "--output-price", str(output_price)]
    return ["--url", f"http://127.0.0.1:{port}/v1", *prices]


def rows() -> list[dict[str, Any]]:
    """The example's prompts, whose references nobody tells the service."""
    lines = Path(ROOT / PROMPTS).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def asked(gateway: RunningService, row: dict[str, Any]) -> None:
    """Ask the large model, as an application did until today."""
    body = {**row["request"], "model": "large", "metadata": {"application": row["application"]}}
    httpx.post(f"{gateway.url}/v1/chat/completions", json=body, timeout=60).raise_for_status()


def latest_run(gateway: RunningService) -> dict[str, Any]:
    """The run that the service began last, whole."""
    (run,) = json.loads(gateway.cli("learn", "list", "--json").stdout)
    found: dict[str, Any] = json.loads(gateway.cli("learn", "status", run["id"], "--json").stdout)
    return found
