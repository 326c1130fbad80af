"""Learning runs where several experts have the same weights: at one address, at other prices."""

from __future__ import annotations

from dataclasses import replace

import pytest

from collegium.registry.expert import Expert
from collegium.registry.learning.runs import Evidence, LearningAnswer
from collegium.router.forecasting import fingerprint
from collegium.web.learning.runs import at_own_prices, by_weights
from tests.web.conftest import Serve
from tests.web.fakes import GENERAL, SQL
from tests.web.test_learning import RUNS, ended, proposed, questions, speak

LARGE = replace(GENERAL, name="large", input_price=3.0, output_price=15.0)
MINE = replace(GENERAL, name="mine", input_price=None, output_price=None)
OFF = replace(GENERAL, name="off", enabled=False)
SAME = fingerprint(GENERAL)


@pytest.mark.parametrize("order", [(LARGE, MINE, OFF), (OFF, MINE, LARGE)])
def test_who_was_named_stands_for_the_weights(order: tuple[Expert, ...]) -> None:
    """In whatever order they were registered; else one that is enabled and has prices."""
    found = {name: by_weights((*order, SQL), [name])[SAME].name for name in ("large", "mine")}
    assert found == {"large": "large", "mine": "mine"}
    assert by_weights(order, ["sql", "mine", "large"])[SAME] is MINE
    assert by_weights(order, [])[SAME] is LARGE
    assert by_weights((OFF, MINE), [])[SAME] is MINE


def test_answers_of_another_expert_cost_what_the_named_one_would_bill() -> None:
    """Nothing is known where it has no prices, or nobody counted the tokens."""
    counted = LearningAnswer(
        "r", 0, "other", SAME, {}, prompt_tokens=1000, completion_tokens=100, cost_usd=9.0
    )
    uncounted = replace(counted, prompt_tokens=None)
    own = replace(counted, expert="large")
    panel = replace(counted, fingerprint="a panel")
    evidence = Evidence((), (counted, uncounted, own, panel), ())

    def costs(expert: Expert) -> list[float | None]:
        return [a.cost_usd for a in at_own_prices(evidence, {SAME: expert}).answers]

    assert costs(LARGE) == [pytest.approx(0.0045), None, 9.0, 9.0]
    assert costs(MINE) == [None, None, None, 9.0]


async def test_the_report_names_the_experts_that_were_asked(serve: Serve) -> None:
    """And no other with the same weights, also if that one was asked by an earlier run."""
    async with serve(encoder="static") as web:
        speak(web)
        for expert in (LARGE, MINE):
            web.experts[expert.name].says = web.experts["general"].says
            await web.parts.registry.register(expert)
        for first, second in (("mine", "large"), ("large", "mine")):
            run = await proposed(web, questions(40), experts=[first, "sql"], race=False)
            assert set(run["estimate"]["usd_by_expert"]) == {first, "sql"}
            await web.http.post(f"{RUNS}/{run['id']}/start")
            report = (await ended(web, run["id"]))["report"]
            assert {row["expert"] for row in report["experts"]} == {first, "sql"}
            assert report["best_single"] == first
            assert second not in str(report)
