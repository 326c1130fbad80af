"""A learning run's page: one file, whatever prompts and experts are called."""

from __future__ import annotations

from pathlib import Path

import click
from click.testing import CliRunner

from collegium.cli.learn_page import write_page
from collegium.cli.learn_report import headline
from collegium.cli.output import agreed
from tests.evals.core.page_reader import HOSTILE, Reader, check_alone

WORTH = {"saved": 0.4, "loss_points": -0.5, "margin_points": 0.8, "usd_per_1k": 1.25}
MEASURED = {"quality": 0.684, "low": 0.61, "high": 0.758, "judged_quality": 0.9}
STEP = {"loss_low": -1.3, "loss_high": 0.3}
REPORT = {
    "confirmed": False,
    "prompts": 300,
    "best_single": HOSTILE,
    "warnings": [f"few marks of {HOSTILE}"],
    "policies": {"balanced": WORTH},
    "curve": [{**WORTH, **STEP}, {**WORTH, **STEP, "saved": 0.1}],
    "experts": [
        {"expert": HOSTILE, "marks": 60, "quality": 0.71, "usd_per_1k": None, "measured": MEASURED}
    ],
    "applications": [
        {**WORTH, "application": "", "mostly_sent_to": HOSTILE, "best_expert": "b", "prompts": 300}
    ],
    "panels": [],
    "worst": [{"prompt": HOSTILE, "sent_to": "a", "score": 0.0, "best_single_score": 1.0}],
}


def test_the_page_holds_the_report_and_escapes_it(tmp_path: Path) -> None:
    """Every element closes, nothing is fetched, the curve is there and names are words."""
    write_page({"id": "lrn_1", "report": REPORT}, tmp_path / "run.html")
    page = (tmp_path / "run.html").read_text()
    check_alone(page)
    reader = Reader(page)
    words = " ".join(reader.texts)
    assert words.count(HOSTILE) >= 5
    for shown in (
        "Learning run lrn_1",
        "+0.5 ± 0.8",
        "$1.2500",
        "0.710",
        "0.684 [0.610, 0.758]",
        "(none)",
    ):
        assert shown in words
    assert "No panel of these experts beats the best single one." in words
    assert {"polyline", "polygon", "circle"} <= reader.tags


def test_a_report_without_any_saving_says_so() -> None:
    """No number of further prompts is promised to change that."""
    none = {**WORTH, "saved": 0.0}
    policies = {"balanced": none, "auto": none}
    report = {**REPORT, "confirmed": True, "policies": policies, "saving_at_one_point": none}
    step = {"prompts": 300.0, "margin_points": 0.0, "usd": 1.0}
    told = headline({**report, "more": [step], "best_single": "large"})
    assert told.startswith("300 prompts show no saving")
    assert "more prompts" not in told


def test_an_input_that_ends_means_no() -> None:
    """So that the run that was proposed is cancelled."""

    @click.command()
    def ask() -> None:
        click.echo(f"agreed: {agreed('Start?')}")

    assert "agreed: False" in CliRunner().invoke(ask, input="").output
    assert "agreed: True" in CliRunner().invoke(ask, input="y\n").output
