"""An expert is asked the most telling questions, within a budget, and no answer is lost."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from collegium.errors import (
    BadRequest,
    ExpertRejected,
    ExpertTimeout,
    ExpertUnavailable,
    SetupError,
)
from collegium.experts.questions import KINDS, LEVELS, Question
from collegium.experts.questions.adaptive import Adaptive, Cell
from collegium.experts.questions.answers import AnswerLog
from collegium.experts.questions.own import own_questions
from collegium.experts.questions.profiling import Profile, Profiler, Reply, planned
from collegium.experts.questions.source import Bank, Listed, Source
from collegium.registry.expert import Expert

CELLS = [(kind, level) for kind in KINDS for level in LEVELS]
EXPERT = Expert("new", "openai", "new", input_price=1.0, output_price=2.0, context_window=32_000)


# --- what to ask next ---


def simulated(levels: Mapping[Cell, float], count: int, seed: int, *, adaptive: bool) -> float:
    """The squared error of the kinds' levels after so many questions."""
    random, state = Random(seed), Adaptive(CELLS)
    for i in range(count):
        cell = state.next() if adaptive else CELLS[i % len(CELLS)]
        state.told(cell, float(random.random() < levels[cell]))
    found = state.levels()
    truth = {k: sum(levels[k, level] for level in LEVELS) / 3 for k in KINDS}
    return sum((found[kind].mean - truth[kind]) ** 2 for kind in KINDS) / len(KINDS)


def a_model(seed: int) -> dict[Cell, float]:
    """A model that is good at some kinds, whose levels mostly get harder."""
    random = Random(seed)
    found = {}
    for kind in KINDS:
        ability = random.gauss(0.5, 1.5)
        for level in LEVELS:
            logit = ability + 1.5 * (2 - level) + random.gauss(0, 0.7)
            found[kind, level] = 1 / (1 + 2.718**-logit)
    return found


def test_the_adaptive_choice_knows_more_after_as_many_questions() -> None:
    """Than asking all kinds and levels in turn; and more questions tell more."""
    seeds = range(12)
    turn = [simulated(a_model(s), 60, s, adaptive=False) for s in seeds]
    chosen = [simulated(a_model(s), 60, s, adaptive=True) for s in seeds]
    later = [simulated(a_model(s), 180, s, adaptive=True) for s in seeds]
    assert sum(chosen) < 1.02 * sum(turn)
    assert sum(later) < 0.6 * sum(chosen)


def test_questions_go_where_the_answers_are_uncertain() -> None:
    """Of one who is always right at the first two levels the third is asked about most."""
    state = Adaptive(CELLS)
    asked: Counter[int] = Counter()
    for i in range(150):
        cell = state.next()
        asked[cell[1]] += 1
        state.told(cell, 1.0 if cell[1] < 3 else float(i % 2))
    assert asked[3] > asked[1] + asked[2]


def test_pending_questions_are_not_chosen_again_at_once() -> None:
    """Several that are asked together differ."""
    state, pending = Adaptive(CELLS), Counter[Cell]()
    for _ in range(10):
        pending[state.next(pending)] += 1
    assert set(pending.values()) == {1}


def test_a_level_says_how_sure_it_is() -> None:
    """About as often as it should be, the truth is within two standard deviations."""
    inside = []
    for seed in range(12):
        levels, random = a_model(seed), Random(seed)
        state = Adaptive(CELLS)
        for _ in range(150):
            cell = state.next()
            state.told(cell, float(random.random() < levels[cell]))
        for kind, found in state.levels().items():
            truth = sum(levels[kind, level] for level in LEVELS) / 3
            inside.append(abs(found.mean - truth) <= 2 * found.sd)
    assert sum(inside) / len(inside) > 0.88


# --- asking ---


class Asked:
    """An expert at the edge: answers by the reference, as often as it knows."""

    def __init__(self, source: Source, *, right: bool = True) -> None:
        self.requests: list[Mapping[str, Any]] = []
        self._right = right
        self._known: dict[str, Question] = {}
        for cell in source.cells:
            for number in range(80):
                if question := source.get(cell, number):
                    self._known[str(question.request["messages"])] = question

    async def __call__(self, request: Mapping[str, Any]) -> Reply:
        await asyncio.sleep(0)
        self.requests.append(request)
        question = self._known[str(request["messages"])]
        reference = question.reference if self._right else "nothing"
        value = reference["value"] if isinstance(reference, dict) else reference
        return Reply({"role": "assistant", "content": str(value)}, 100, 10)


async def run(
    source: Source,
    ask: Any,
    path: Path,
    questions: int = 20,
    budget: float | None = None,
    expert: Expert = EXPERT,
) -> Profile:
    with AnswerLog(path, "as it is") as log:
        plan = planned(expert, source, questions, budget)
        return await Profiler(expert, source, ask, log).run(plan)


SUMS = ("arithmetic", "algebra")


async def test_answers_are_marked_and_priced(tmp_path: Path) -> None:
    """Who is always right has a high level at each kind."""
    found = await run(Bank(SUMS), Asked(Bank(SUMS)), tmp_path / "new.jsonl", 40)
    assert len(found.answers) == 40
    assert {a.mark for a in found.answers} == {1.0}
    assert found.cost_usd == pytest.approx(40 * (100 * 1 + 10 * 2) / 1e6)
    assert min(level.mean for level in found.levels.values()) > 0.9
    wrong = await run(Bank(SUMS), Asked(Bank(SUMS), right=False), tmp_path / "other.jsonl", 40)
    assert max(level.mean for level in wrong.levels.values()) < 0.1


async def test_what_was_answered_is_not_asked_again(tmp_path: Path) -> None:
    """Also after a crash in the middle of a line; a changed expert is asked anew."""
    path = tmp_path / "new.jsonl"
    first = Asked(Bank(SUMS))
    await run(Bank(SUMS), first, path, 20)
    assert len(first.requests) == 20
    with path.open("a") as file:
        file.write('{"edition": 1, "torn')
    again = Asked(Bank(SUMS))
    found = await run(Bank(SUMS), again, path, 30)
    assert 10 <= len(again.requests) <= 14, "a few were chosen in another order"
    assert len(found.answers) == 30
    assert found.cost_usd == pytest.approx(len(again.requests) * 120 / 1e6)
    with AnswerLog(path, "changed since") as log:
        assert log.answers == {}
    assert all(json.loads(line)["mark"] == 1.0 for line in path.read_text().splitlines())


async def test_two_runs_do_not_write_to_one_log(tmp_path: Path) -> None:
    """The second one says so."""
    with AnswerLog(tmp_path / "x", "a"), pytest.raises(SetupError, match="another run"):
        AnswerLog(tmp_path / "x", "a").__enter__()


async def test_no_more_is_spent_than_was_said(tmp_path: Path) -> None:
    """A question that might cost more than what is left is not asked."""

    async def wordy(request: Mapping[str, Any]) -> Reply:
        return Reply({"content": "words"}, 100, request["max_tokens"])

    plan = planned(EXPERT, Bank(), 60, None)
    assert plan.usual_usd is not None
    assert plan.budget_usd is not None
    assert plan.budget_usd == pytest.approx(2 * plan.usual_usd)
    found = await run(Bank(), wordy, tmp_path / "a", 60)
    assert found.cost_usd is not None
    assert 0.5 * plan.budget_usd < found.cost_usd <= plan.budget_usd
    assert len(found.answers) < 60
    tight = await run(Bank(SUMS), wordy, tmp_path / "b", 60, budget=0.005)
    assert tight.cost_usd is not None
    assert 0 < tight.cost_usd <= 0.005


async def test_what_an_expert_refuses_or_can_not_read_is_wrong(tmp_path: Path) -> None:
    """A long text that does not fit is not even sent; the temperature may be what is refused."""
    sent: list[Mapping[str, Any]] = []

    async def picky(request: Mapping[str, Any]) -> Reply:
        sent.append(request)
        if "temperature" in request:
            raise ExpertRejected("new", "temperature is not supported")
        if "tools" in request:
            raise ExpertRejected("new", "no tools here")
        return Reply({"content": "7"}, 10, 1)

    small = Expert("new", "openai", "new", context_window=1500)
    found = await run(Bank(["tools", "retrieval"]), picky, tmp_path / "a", 30, expert=small)
    notes = Counter(a.note.partition(":")[0] for a in found.answers)
    assert notes["it does not fit the context window"] > 0
    assert notes["expert 'new'"] > 0
    assert {a.mark for a in found.answers if a.note} == {0.0}
    assert {a.level for a in found.answers if a.note.startswith("it does")} <= {2, 3}
    assert found.cost_usd is None
    assert max(r["max_tokens"] for r in sent) <= 1024


async def test_an_expert_that_is_gone_ends_the_run_with_its_reason(tmp_path: Path) -> None:
    """The error is its own; what was answered before is kept."""
    asked = Asked(Bank(SUMS))

    async def dying(request: Mapping[str, Any]) -> Reply:
        if len(asked.requests) >= 9:
            raise ExpertUnavailable("new", "is down")
        return await asked(request)

    with pytest.raises(ExpertUnavailable, match="is down"):
        await run(Bank(SUMS), dying, tmp_path / "a", 30)
    kept = (tmp_path / "a").read_text().splitlines()
    assert all(json.loads(line)["mark"] == 1.0 for line in kept)
    assert 1 <= len((tmp_path / "a").read_text().splitlines()) <= 12


async def test_a_question_without_an_answer_is_no_mark(tmp_path: Path) -> None:
    """One that took too long says nothing of the expert, and is asked again by the next run."""
    asked, late = Asked(Bank(SUMS)), True

    async def slow(request: Mapping[str, Any]) -> Reply:
        if late and len(asked.requests) % 3 == 1:
            asked.requests.append(request)
            raise ExpertTimeout("new", "no answer in time")
        return await asked(request)

    found = await run(Bank(SUMS), slow, tmp_path / "a", 20)
    unanswered = [a for a in found.answers if a.mark is None]
    assert unanswered
    assert sum(level.count for level in found.levels.values()) == 20 - len(unanswered)
    late = False
    again = await run(Bank(SUMS), slow, tmp_path / "a", 20)
    assert all(a.mark == 1.0 for a in again.answers)


# --- own questions ---


def written(path: Path, rows: Sequence[Any]) -> Path:
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows) + "\n")
    return path


async def test_own_questions_are_asked_until_they_end(tmp_path: Path) -> None:
    """With the fields of the bank's."""
    rows = [
        {"prompt": f"{n} + {n}?", "checker": "number", "reference": 2 * n, "kind": "sums"}
        for n in range(5)
    ]
    request = {"messages": [{"role": "user", "content": "Say ab."}]}
    rows.append({"request": request, "checker": "regex", "reference": "a+b", "level": 1})
    source = Listed(own_questions(written(tmp_path / "own.jsonl", [*rows, ""])))
    assert source.cells == [("sums", 2), ("own", 1)]
    found = await run(source, Asked(source), tmp_path / "log", 50)
    assert len(found.answers) == 6
    assert {k: level.count for k, level in found.levels.items()} == {"sums": 5, "own": 1}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("{", "line 2: invalid JSON"),
        ([], "a JSON object"),
        ({"prompt": "x", "answer": 3}, "unknown field answer; available: id, kind"),
        ({"prompt": "x", "level": 4}, "`level` 1, 2 or 3"),
        ({"prompt": "x", "request": {}}, "give `prompt`, or `request`"),
        ({"request": {"messages": []}}, "give `prompt`, or `request`"),
        ({"prompt": "x", "checker": "magic"}, "line 2: There is no checker 'magic'"),
        ({"prompt": "x", "checker": "python:os:system"}, "operator"),
        ({"prompt": "x", "checker": "number", "options": {"x": 1}}, "checker 'number'"),
        ({"prompt": "x", "checker": "sql", "options": {"database": "/etc/x"}}, "database"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, row: Any, words: str) -> None:
    """Nothing is asked of a file with one."""
    with pytest.raises(BadRequest, match=words):
        own_questions(written(tmp_path / "own.jsonl", [{"prompt": "x", "reference": "y"}, row]))


def test_a_file_without_questions_is_refused(tmp_path: Path) -> None:
    """So is one that is not there, and a kind that the bank lacks."""
    with pytest.raises(BadRequest, match="no questions"):
        own_questions(written(tmp_path / "own.jsonl", []))
    with pytest.raises(BadRequest, match="can't read"):
        own_questions(tmp_path / "nowhere.jsonl")
    with pytest.raises(BadRequest, match="no kind 'poems'"):
        Bank(["poems"])
