"""`collegium eval adoption` from its arguments to a table, JSON and a page."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from collegium.cli.eval_adoption import adoption
from collegium.evals.studies.adoption.worlds import EXPERTS, world
from collegium.router.priors import day_one_rank
from tests.evals.routing.worlds import save
from tests.evals.studies.adoption.sets import sets

EACH = 30
"""Prompts a task."""


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two recorded sets of one's own, and a cache for their vectors."""
    monkeypatch.setenv("COLLEGIUM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return [str(save(data, tmp_path / data.name)) for data in sets(each=EACH)]


def run(*arguments: str) -> Result:
    """The command without a service, with the encoder that loads in a moment."""
    words = [*arguments, "--no-api", "--encoder", "static+surface"]
    return CliRunner().invoke(adoption, words, catch_exceptions=False)


def test_json_has_all_rows(folders: list[str]) -> None:
    """Day one and fifty replays, other worlds, marks that err, unseen families, newcomers."""
    replays = ("--replays", "0", "--replays", "50")
    found = json.loads(run(*folders, "--draws", "2", *replays, "--json").stdout)
    assert found["served_equals_evaluated"] is None
    rows = found["rows"]
    pure = [row for row in rows if row["world"] == "pure" and row["labels"] == "reference"]
    assert {row["replays"] for row in pure} == {0, 50}
    assert {row["labels"] for row in rows} == {
        "reference",
        "judge",
        "biased_judge",
        "agreement",
    }
    worlds = {row["world"] for row in rows}
    assert worlds == {
        *(
            "pure",
            "pure, 60 confirmed",
            "pure, raced for 60% of the money",
            "disturbed",
            "anonymous",
            "unseen school",
            "unseen office",
        ),
        *(f"newcomer {name}" for name in EXPERTS),
    }
    first = next(row for row in pure if row["policy"] == "auto")
    expected = world(sets(each=EACH))
    best = [e.name for e in expected.experts].index(day_one_rank(expected.experts)[0].name)
    assert first["accuracy"] == pytest.approx(expected.scores[expected.judges, best].mean())
    assert pure[0]["ece"] is None, "nobody forecasts without marks"


def test_it_prints_a_table_and_writes_files(folders: list[str], tmp_path: Path) -> None:
    """The line of what there is without a router comes first."""
    shown = run(
        *(*folders, "--only-pure", "--draws", "1", "--replays", "40"),
        *("--json", "out.json", "--html", "out.html"),
    ).stdout
    assert shown.startswith("pure: best single expert ")
    assert "application_table" in shown
    assert "Served decisions" not in shown
    written = json.loads((tmp_path / "out.json").read_text())
    assert [row["policy"] for row in written["rows"]] == [
        *("curve", "auto", "balanced", "cheap", "application_table")
    ]
    assert (tmp_path / "out.html").read_text().startswith("<!doctype html>")


def test_a_set_of_ones_own_has_no_unseen_rest(folders: list[str]) -> None:
    """There are no other marks; everything else is evaluated."""
    found = json.loads(run(folders[0], "--draws", "1", "--replays", "40", "--json").stdout)
    worlds = {row["world"] for row in found["rows"]}
    assert {"pure", "disturbed", "anonymous", *(f"newcomer {name}" for name in EXPERTS)} <= worlds
    assert not {name for name in worlds if name.startswith("unseen")}


def test_a_set_is_not_taken_for_the_json_file(folders: list[str]) -> None:
    """The set would be overwritten."""
    with pytest.raises(click.UsageError, match="is a data set"):
        CliRunner().invoke(
            adoption, ["--json", *folders], catch_exceptions=False, standalone_mode=False
        )
