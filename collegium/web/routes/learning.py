"""/v1/learning/runs: replay prompts to experts, mark the answers, and fit a router to the marks."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from collegium.errors import BadRequest, LearningRefused
from collegium.experts.clients.events import Json
from collegium.registry.learning.runs import LearningPrompt, Mark, RunRecord
from collegium.registry.tables import to_columns
from collegium.web.auth import ADMIN, OwnerDep
from collegium.web.json_in import CheckedRoute
from collegium.web.learning.spec import RESERVED, LearnSpec, Name
from collegium.web.parts_of import PartsDep
from collegium.web.serving.parts import Parts

routes = APIRouter(prefix="/v1/learning", dependencies=ADMIN, route_class=CheckedRoute)
MOST_MIB = 32
"""The maximum size of a file of prompts, which is read as a whole."""
HIDDEN = ("worker", "leased_until")


class ConfirmedMark(BaseModel):
    """A person's mark of one answer."""

    model_config = ConfigDict(extra="forbid")

    number: Annotated[int, Field(ge=0)]
    expert: Name
    score: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Confirmation(BaseModel):
    """Marks that a person confirmed or corrected."""

    model_config = ConfigDict(extra="forbid")

    marks: Annotated[list[ConfirmedMark], Field(min_length=1, max_length=400)]


@routes.post("/runs", status_code=201)
async def propose(body: LearnSpec, parts: PartsDep, owner: OwnerDep) -> Json:
    """Propose a run: its questions, cost and expected margin of error. Nothing is asked yet."""
    from collegium.web.learning.from_log import logged_prompts
    from collegium.web.learning.lines import read_prompts
    from collegium.web.learning.marking import make_checker
    from collegium.web.learning.runs import propose_run

    if body.checker is not None:
        make_checker(body.checker, parts.settings.learn_checkers)
    if body.from_log is not None:
        found = await logged_prompts(parts.log, body.from_log, parts.settings.budget_fields)
    else:
        found = read_prompts(await _lines(parts, body.input_file_id or ""))
    for prompt in found:
        if prompt.checker is not None:
            if "database" in prompt.checker:
                raise BadRequest("A file of prompts can't set the option `database`", "checker")
            make_checker(prompt.checker, parts.settings.learn_checkers)
    return run_json(await propose_run(parts, body, found, owner))


@routes.get("/runs")
async def runs(parts: PartsDep, limit: Annotated[int, Query(ge=1, le=100)] = 50) -> Json:
    """The latest runs, without their reports."""
    found = await parts.learning_runs.list(limit)
    return {"object": "list", "data": [run_json(run) | {"report": None} for run in found]}


@routes.get("/runs/{run_id}")
async def run(run_id: str, parts: PartsDep) -> Json:
    """Return one run with its progress, and its report once it has ended."""
    return run_json(await parts.learning_runs.get(run_id))


@routes.post("/runs/{run_id}/start")
async def start(run_id: str, parts: PartsDep) -> Json:
    """Start a run. From here on it costs money."""
    from collegium.web.learning.runs import start_run

    return run_json(await start_run(parts, run_id))


@routes.post("/runs/{run_id}/cancel")
async def cancel(run_id: str, parts: PartsDep) -> Json:
    """Cancel a run. Its answers are kept."""
    from collegium.web.learning.runs import cancel_run

    return run_json(await cancel_run(parts, run_id))


@routes.post("/runs/{run_id}/fit")
async def fit(run_id: str, parts: PartsDep) -> Json:
    """Fit and report again, with the marks that were confirmed since."""
    from collegium.web.learning.runs import fit_again

    return run_json(await fit_again(parts, run_id))


@routes.delete("/runs/{run_id}")
async def delete(run_id: str, parts: PartsDep) -> Json:
    """Delete a run with its prompts, answers and marks."""
    record = await parts.learning_runs.get(run_id)
    if record.status == "running":
        raise LearningRefused("the learning run is running; cancel it first")
    await parts.learning_runs.remove(run_id)
    return {"id": run_id, "object": "learning_run", "deleted": True}


@routes.get("/runs/{run_id}/unconfirmed")
async def to_confirm(
    run_id: str,
    parts: PartsDep,
    count: Annotated[int, Query(ge=1, le=1000)] = 60,
    seed: Annotated[int, Query(ge=0, lt=2**31)] = 0,
) -> Json:
    """Return a random sample of answers with unconfirmed marks, and what they were compared with.

    The marks are left out, so that they do not influence the person who confirms them; `marks`
    counts all of the run's by their source.
    """
    from collegium.web.learning.runs import unconfirmed

    await parts.learning_runs.get(run_id)
    evidence = await parts.learning_runs.evidence([run_id])
    answers = {(a.number, a.expert): a.answer for a in evidence.answers}
    usual = {
        mark.number: mark.expert
        for mark in evidence.marks
        if mark.source == "judge" and _exact(mark) and answers.get((mark.number, mark.expert))
    }
    data = []
    for prompt, mark in unconfirmed(evidence, count, seed):
        other = usual.get(prompt.number)
        shown = _to_confirm(prompt, mark, answers[prompt.number, mark.expert])
        against = None if other is None else answers.get((prompt.number, other))
        data.append(shown | {"compared_with": against})
    sources = Counter(mark.source for mark in evidence.marks)
    return {"object": "list", "data": data, "marks": dict(sources)}


@routes.post("/runs/{run_id}/marks")
async def confirm(run_id: str, body: Confirmation, parts: PartsDep, owner: OwnerDep) -> Json:
    """Store marks given by a person. `fit` uses them."""
    await parts.learning_runs.get(run_id)
    evidence = await parts.learning_runs.evidence([run_id])
    known = {(answer.number, answer.expert) for answer in evidence.answers}
    for mark in body.marks:
        if (mark.number, mark.expert) not in known:
            raise BadRequest(
                f"prompt {mark.number} of the run has no answer by '{mark.expert}'", "marks"
            )
    marks = [Mark(run_id, m.number, m.expert, "confirmed", m.score, 1.0, owner) for m in body.marks]
    await parts.learning_runs.mark(marks)
    return {"object": "learning_marks", "run_id": run_id, "confirmed": len(marks)}


def run_json(record: RunRecord) -> Json:
    """A run as the API shows it."""
    shown = {k: v for k, v in to_columns(record).items() if k not in HIDDEN}
    estimate = dict(record.estimate)
    reserved = estimate.pop(RESERVED, 0.0)
    shown |= {"estimate": estimate, RESERVED: reserved if record.status == "running" else 0.0}
    return {"object": "learning_run", **shown}


def _exact(mark: Mark) -> bool:
    return mark.reliability >= 1


def _to_confirm(prompt: LearningPrompt, mark: Mark, answer: Any) -> Json:
    return {
        "number": prompt.number,
        "expert": mark.expert,
        "request": dict(prompt.request),
        "answer": answer,
    }


async def _lines(parts: Parts, file_id: str) -> list[bytes]:
    """The lines of an uploaded file."""
    record = await parts.files.get(file_id, param="input_file_id")
    if record.bytes > MOST_MIB * 2**20:
        words = f"The file is larger than {MOST_MIB} MiB; send a sample"
        raise BadRequest(words, "input_file_id")
    chunks = [chunk async for chunk in parts.file_store.chunks(file_id)]
    return b"".join(chunks).splitlines()
