"""An expert that a run did not ask, of which an earlier one left a few marks."""

from __future__ import annotations

from typing import Any

from collegium.registry.learning.runs import LearningAnswer, LearningPrompt, Mark, RunRecord
from collegium.router.forecasting import fingerprint
from tests.web.conftest import Serve, Web, until
from tests.web.test_learning import RIGHT, RUNS, ended, proposed, speak


def essays(count: int) -> list[dict[str, Any]]:
    """The cheap expert is right on two of three, the other one on the rest."""
    return [
        {
            "prompt": f"Write an essay about the {number}th thing.",
            "application": "essays",
            "reference": RIGHT["lists" if number % 3 == 0 else "sql"],
        }
        for number in range(count)
    ]


async def marked_earlier(web: Web, name: str, count: int) -> None:
    """A run that ended with right answers of one expert, and wrong ones of another."""
    experts = {e.name: e for e in await web.parts.catalogue.now()}
    run = RunRecord("lrn_early", "", {"from_log": None}, {}, planned=2 * count, status="cancelled")
    prompts = [
        LearningPrompt("lrn_early", n, f"digest {n}", f"Early {n}?", {}, {}, application="essays")
        for n in range(count)
    ]
    answers, marks = [], []
    for n in range(count):
        for expert, score in ((name, 1.0), ("lists", 0.0)):
            seal = fingerprint(experts[expert])
            answers.append(LearningAnswer("lrn_early", n, expert, seal, {"content": "a"}))
            marks.append(Mark("lrn_early", n, expert, "checker", score, 1.0, ""))
    await web.parts.learning_runs.propose(run, prompts, answers, marks)


async def learned(web: Web, count: int = 30) -> Any:
    """The ended run over two experts of three."""
    run = await proposed(web, essays(count), experts=["sql", "lists"], race=False)
    await web.http.post(f"{RUNS}/{run['id']}/start")
    run = await ended(web, run["id"])
    assert run["status"] == "finished", run["detail"]
    return run


async def test_two_marks_of_an_earlier_run_make_nobody_the_best_expert(serve: Serve) -> None:
    """Nor the one that the traffic is sent to."""
    async with serve(encoder="static") as web:
        speak(web)
        await marked_earlier(web, "general", 2)
        run = await learned(web)
        report = run["report"]
        assert report["best_single"] == "sql"
        assert {a["mostly_sent_to"] for a in report["applications"]} == {"sql"}
        assert [row["expert"] for row in report["experts"]] == ["lists", "sql"]
        (told,) = [w for w in report["warnings"] if "general (2)" in w]
        assert "6 are needed" in told
        await web.http.post(f"/v1/router/versions/{run['router']}/promote", json={})
        await until(lambda: web.parts.router.get().version == run["router"])
        for model in ("collegium/auto", "collegium/balanced"):
            answered = await web.chat("Write an essay about the 400th thing.", model=model)
            assert answered.headers["x-collegium-expert"] == "sql"


async def test_a_dozen_marks_count_but_the_comparison_is_with_an_expert_that_was_asked(
    serve: Serve,
) -> None:
    """Eight of eight are evidence; how good it is on the others is not known well."""
    async with serve(encoder="static") as web:
        speak(web)
        await marked_earlier(web, "general", 8)
        report = (await learned(web))["report"]
        assert report["best_single"] == "sql"
        assert {row["expert"]: row["marks"] for row in report["experts"]}["general"] == 8
        assert not [w for w in report["warnings"] if "general" in w]
