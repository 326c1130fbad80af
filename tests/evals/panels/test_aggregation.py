"""Questions that measure who makes the best of several answers."""

from __future__ import annotations

from collegium.evals.panels.aggregation import Aggregation
from collegium.experts.specialists.tasks import TASKS


def test_the_right_answer_is_among_those_shown_and_marks_as_right() -> None:
    """Each task's own program marks; another question's answer is wrong."""
    measured = Aggregation(TASKS)
    probes = measured.examples("validation", 10)
    assert len({probe.prompt_id for probe in probes}) == 10
    for probe in probes:
        assert probe.reference in probe.prompt
        assert measured.check(probe, probe.reference)
        assert not measured.check(probe, "I do not know.")
        assert probe.prompt.count("</answer-") == 3


def test_all_tasks_are_asked_about_in_turn() -> None:
    """Ten questions are two of each of five."""
    asked = [probe.template for probe in Aggregation(TASKS).examples("validation", len(TASKS))]
    alone = [task.examples("validation", 1 + 2)[0].template for task in TASKS.values()]
    assert asked == alone


def test_positions_differ() -> None:
    """The right answer is not always at the same place."""
    probes = Aggregation(TASKS).examples("validation", 15)
    places = {probe.prompt.split(probe.reference)[0].count("<answer-") for probe in probes}
    assert len(places) > 1
