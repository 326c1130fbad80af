"""The routing page and the tables: complete, escaped, self-contained."""

import re
from dataclasses import replace

import numpy as np
import pytest

from collegium.evals.core.arrays import Floats
from collegium.evals.core.provenance import provenance
from collegium.evals.routing import text
from collegium.evals.routing.evaluate import evaluate, mean_differences
from collegium.evals.routing.lessons import Exam, Forecaster, Lesson, means
from collegium.evals.routing.page import html_page
from collegium.evals.routing.problem import build
from collegium.evals.routing.routing_report import RoutingReport
from tests.evals.core.page_reader import HOSTILE, Reader, check_alone
from tests.evals.routing.worlds import vectors, world


def nearest(lesson: Lesson, exam: Exam) -> Floats:
    """Forecast by the likest lesson."""
    return np.asarray(np.clip(lesson.y[(exam.X @ lesson.X.T).argmax(axis=1)], 0.1, 0.9))


ROUTERS: dict[str, Forecaster] = {
    HOSTILE: nearest,
    "stubborn": lambda lesson, exam: np.tile(means(lesson.y), (len(exam.prompts), 1)),
}


@pytest.fixture(scope="module")
def report() -> RoutingReport:
    """Return a report on two sets, one of them with names that try to break out of the page."""
    first, second = world(40), world(40, seed=1)
    group = tuple("ID" if task == "law" else HOSTILE for task in first.labels["task"])
    first = replace(
        first,
        name=HOSTILE,
        models=(HOSTILE, "mid-13b", "big-70b"),
        labels={"task": (*first.labels["task"][:-30], *[HOSTILE] * 30), "group": group},
    )
    training = np.random.default_rng(0).random(120) < 0.6
    found = [
        evaluate(build(data, training), vectors(data.prompts), ROUTERS, resamples=100)
        for data in (first, second)
    ]
    return RoutingReport(
        "skills",
        "task",
        HOSTILE,
        tuple(each.report for each in found),
        mean_differences(found),
        provenance("collegium eval routing '<i>'", 0, {"sets": 2}),
    )


@pytest.fixture(scope="module")
def page(report: RoutingReport) -> str:
    """Return its page."""
    return html_page(report)


def test_the_page_is_well_formed_and_alone(page: str) -> None:
    """Every element closes; no script, no address that leaves the page."""
    check_alone(page)


def test_the_page_has_its_figures(page: str) -> None:
    """Curves, tasks and calibration with shares, for both sets."""
    assert page.count("<svg") == 6
    for title in ("What accuracy costs", "Are the forecasts honest?", "Share of prompts per model"):
        assert page.count(title) == 2
    assert "mathdefault" not in page


def test_names_are_escaped_everywhere(page: str) -> None:
    """A hostile router, model, task, group and set are shown as they are."""
    assert "<script" not in page
    assert "<i>" not in page
    assert Reader(page).texts.count(HOSTILE) >= 6


def test_the_page_shows_the_numbers(page: str, report: RoutingReport) -> None:
    """What the tables say, the verdicts and the alarms."""
    words = " ".join(Reader(page).texts)
    for found in report.sets:
        router = found.contender(HOSTILE, "router")
        assert text.verdict(found, router) in words
        for cells in text.table(found)[1:]:
            assert all(cell in words for cell in cells)
        assert [alarm for alarm in text.alarms(found) if "stubborn" in alarm]
        assert all(alarm in words for alarm in text.alarms(found))


def test_tables_of_words_have_straight_columns(report: RoutingReport) -> None:
    """Each row is as wide as its header, in plain text and in Markdown."""
    found = report.sets[0]
    for rows in (
        text.table(found),
        text.differences(found),
        text.group_table(found),
        text.overview(report),
        text.mean_table(report),
    ):
        assert len({len(row) for row in rows}) == 1
        lines = text.markdown(rows).strip().splitlines()
        assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {len(rows[0]) + 1}
    assert text.robustness_table(found) == []


def test_a_star_means_that_it_is_no_chance(report: RoutingReport) -> None:
    """Exactly where the interval leaves zero out."""
    for found in report.sets:
        for row in found.routers:
            for difference in row.differences.values():
                assert text.points(difference).endswith("*") == difference.excludes(0)
