"""What routers are fitted on besides the live pool: recorded sets, and decisions people rated."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from collegium.errors import SetupError
from collegium.evals.routing.decisions import decisions_report
from collegium.evals.training.learning import joined, rated, rated_decisions, recorded_set
from collegium.registry.decisions.log import (
    DecisionRecord,
    FeedbackRecord,
    LoggedDecision,
    OutcomeRecord,
    Verdict,
)

MORNING = datetime(2026, 1, 1, tzinfo=UTC)


def write_set(folder: Path, *, each: int = 40) -> Path:
    """A set in the shared format: `lister` knows lists, `poet` poems; every fourth is for tests."""
    folder.mkdir(parents=True)
    rows = [(f"{task}-{i}", task, i) for task in ("lists", "poems") for i in range(each)]
    with gzip.open(folder / "prompts.jsonl.gz", "wt") as file:
        for name, task, i in rows:
            split = "test" if i % 4 == 0 else "train"
            prompt = f"{task} about the number {i}, please"
            line = {"prompt_id": name, "prompt": prompt, "task": task, "split": split}
            file.write(json.dumps(line) + "\n")
    with gzip.open(folder / "outcomes.csv.gz", "wt", newline="") as file:
        table = csv.writer(file)
        table.writerow(["prompt_id", "model", "score", "out_tokens", "latency_s"])
        for name, task, _ in rows:
            table.writerow([name, "lister", int(task == "lists"), 50, 1.0])
            table.writerow([name, "poet", int(task == "poems"), 100, 4.0])
    return folder


def logged(
    number: int, *, expert: str = "poet", verdicts: Sequence[Verdict] = (), quality: float = 0.8
) -> LoggedDecision:
    """One finished decision and what people thought of it."""
    name = f"dec_{number}"
    forecast = {"expert": expert, "quality": quality, "cost_usd": 0.002, "latency_ms": 500.0}
    forecast |= {"energy_j": 9.0, "note": ""}
    other = {**forecast, "expert": "other", "quality": 0.1, "cost_usd": 1.0, "latency_ms": 1.0}
    return LoggedDecision(
        DecisionRecord(
            name,
            MORNING + timedelta(seconds=number),
            "auto",
            expert,
            "quality",
            quality,
            "",
            prompt=f"poems about {number}",
            forecasts=[other, forecast],
        ),
        OutcomeRecord(name, "ok", None, 10, 100, 0.001, 1000.0),
        tuple(FeedbackRecord(f"fb_{name}_{i}", name, v) for i, v in enumerate(verdicts)),
    )


def test_only_a_sets_training_part_is_learnt_from(tmp_path: Path) -> None:
    """With tokens and times where they are recorded; `whole` takes the rest as well."""
    folder = write_set(tmp_path / "set")
    part = recorded_set(folder)
    assert len(part.prompts) == 60
    assert part.fingerprints == ["named:lister", "named:poet"]
    assert set(part.skills) == {"lists", "poems"}
    np.testing.assert_array_equal(part.scores[0], [1, 0])
    np.testing.assert_array_equal(part.tokens[0], [50, 100])
    np.testing.assert_array_equal(part.latency_s[0], [1, 4])
    assert len(recorded_set(folder, whole=True).prompts) == 80


def test_a_rated_decision_scores_only_who_answered() -> None:
    """Its mean verdict; what the others would have said is unknown."""
    log = [logged(i, verdicts=["good_fit"]) for i in range(20)]
    log += [logged(20, expert="lister", verdicts=["failed", "overprovisioned"]), logged(21)]
    rows = rated(log)
    part = rated_decisions(rows, ["poems"] * len(rows), {"poet": "openai:poet@http://there/v1"})
    assert len(part.prompts) == 21
    assert part.fingerprints == ["named:lister", "openai:poet@http://there/v1"]
    np.testing.assert_array_equal(part.scores[20], [0.5, np.nan])
    np.testing.assert_array_equal(part.scores[0], [np.nan, 1.0])
    np.testing.assert_array_equal(part.tokens[0], [np.nan, 100])
    np.testing.assert_array_equal(part.latency_s[0], [np.nan, 1.0])
    assert part.prompt_tokens is not None
    assert part.cost_usd is not None
    np.testing.assert_array_equal(part.prompt_tokens[0], [np.nan, 10])
    np.testing.assert_array_equal(part.cost_usd[0], [np.nan, 0.001])


def test_too_few_ratings_are_told() -> None:
    """How many there are, and where more come from."""
    with pytest.raises(SetupError, match=r"1 recorded decisions .* at least 20 .* /v1/feedback"):
        rated([logged(0, verdicts=["good_fit"]), logged(1)])


def test_sets_of_different_experts_are_joined_with_gaps(tmp_path: Path) -> None:
    """Each prompt keeps its outcomes; groups of one set are not those of another."""
    first = recorded_set(write_set(tmp_path / "set"))
    rows = rated([logged(i, expert="new", verdicts=["good_fit"]) for i in range(20)])
    both = joined([first, rated_decisions(rows, ["poems"] * 20, {})])
    assert both.fingerprints == ["named:lister", "named:poet", "named:new"]
    assert both.scores.shape == (80, 3)
    np.testing.assert_array_equal(both.scores[:60, :2], first.scores)
    assert np.isnan(both.scores[:60, 2]).all()
    assert (both.scores[60:, 2] == 1).all()
    assert not set(both.groups[:60]) & set(both.groups[60:])


def test_decisions_tell_how_good_the_forecasts_are() -> None:
    """30 of 40 rated answers were good, of 80 % forecast; half the money, twice the time."""
    log = [logged(i, verdicts=["good_fit" if i % 4 else "failed"]) for i in range(40)]
    report = decisions_report([*log, logged(40)])
    expert = report.experts[0]
    assert (report.decisions, report.rated, expert.decisions, expert.rated) == (41, 40, 41, 40)
    assert expert.good == pytest.approx(0.75)
    assert expert.forecast == pytest.approx(0.8)
    assert expert.cost_ratio == pytest.approx(0.5)
    assert expert.latency_ratio == pytest.approx(2.0)
    assert report.ece is not None
    assert report.brier == pytest.approx(0.75 * 0.04 + 0.25 * 0.64)


def test_an_answer_of_others_says_nothing_of_the_chosen_expert() -> None:
    """Who took its place, or a panel, is neither compared with its forecast nor learnt from."""
    entry = logged(0, verdicts=["failed"])
    assert entry.outcome is not None
    taken_over = replace(entry, outcome=replace(entry.outcome, expert="other"))
    panel = replace(entry, outcome=replace(entry.outcome, calls=[{"expert": "poet"}]))
    report = decisions_report([taken_over, panel])
    assert (report.decisions, report.experts[0].rated, report.experts[0].good) == (2, 0, None)
    others = [logged(i, verdicts=["good_fit"]) for i in range(1, 21)]
    assert len(rated([panel, *others])) == 20
    assert len(rated([taken_over, *others])) == 21


def test_few_ratings_tell_no_calibration() -> None:
    """Rather nothing than a number that chance made."""
    assert decisions_report([logged(0, verdicts=["good_fit"])]).ece is None
