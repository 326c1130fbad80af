"""What people said of recorded answers counts in a learning run."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from collegium.registry.learning.runs import Mark
from tests.web.conftest import Serve, Web
from tests.web.test_learning import RUNS, speak


async def rated(web: Web, count: int, model: str = "sql") -> None:
    """So many answers of an expert, every other one of which people liked."""
    for number in range(count):
        answer = await web.chat(f"sql {number}", model=model)
        decision = answer.json()["collegium"]["decision"]["id"]
        body = {"decision_id": decision, "score": float(number % 2)}
        assert (await web.http.post("/v1/feedback", json=body)).status_code == 200
    await web.parts.background.finish()


async def proposed_from_log(web: Web, **spec: Any) -> Any:
    """A run on what was recorded."""
    answer = await web.http.post(RUNS, json={"from_log": {}, **spec})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def marks_of(web: Web, run_id: str) -> dict[tuple[str, str], list[Mark]]:
    """The run's marks by their source and expert."""
    found: dict[tuple[str, str], list[Mark]] = {}
    for mark in (await web.parts.learning_runs.evidence([run_id])).marks:
        found.setdefault((mark.source, mark.expert), []).append(mark)
    return found


@pytest.mark.parametrize("record", ["prompts", "full"])
async def test_a_rating_is_the_mark_of_whoever_answered(
    serve: Serve, record: Literal["prompts", "full"]
) -> None:
    """Also where the answer's text wasn't recorded, and is asked for again."""
    async with serve(encoder="static", record=record) as web:
        speak(web)
        await rated(web, 24)
        run = await proposed_from_log(web, experts=["sql", "lists"], race=False)
        assert run["estimate"]["ratings"] == 24
        assert run["estimate"]["answers_reused"] == (24 if record == "full" else 0)
        found = await marks_of(web, run["id"])
        assert {name: len(marks) for name, marks in found.items()} == {("rating", "sql"): 24}


async def test_an_earlier_answer_to_the_same_question_keeps_its_rating(serve: Serve) -> None:
    """The latest answer comes from another expert, and nobody rated it."""
    async with serve(encoder="static") as web:
        speak(web)
        await rated(web, 24)
        for number in range(24):
            await web.chat(f"sql {number}", model="general")
        await web.parts.background.finish()
        run = await proposed_from_log(web)
        assert list(await marks_of(web, run["id"])) == [("rating", "sql")]
        assert run["estimate"]["ratings"] == 24
