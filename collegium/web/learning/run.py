"""Execute a learning run: ask in rounds, mark each round, and resume after interruptions."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import defaultdict
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any

import numpy as np

from collegium.experts.bulk.crew import work_through
from collegium.experts.clients.counting import prompt_tokens
from collegium.experts.dispatch.in_flight import place_of
from collegium.experts.presets import LENGTHS
from collegium.registry.expert import Expert
from collegium.registry.learning.runs import LearningAnswer, LearningPrompt, Mark, RunRecord
from collegium.router.decision import Query
from collegium.router.learning.evidence import RANK, signals_of
from collegium.router.learning.race import FIRST, ROUND, Race
from collegium.router.needs import needs_of
from collegium.router.priors import day_one_rank
from collegium.web.learning.asking import JudgeCalls, asked
from collegium.web.learning.costs import price_of
from collegium.web.learning.fitting import FEWEST
from collegium.web.learning.marking import Marker
from collegium.web.learning.panels import MOST, SEATS, ReplayedPanel
from collegium.web.learning.pieces import Pieces
from collegium.web.learning.proposal import permitted
from collegium.web.learning.spec import RESERVED, LearnSpec
from collegium.web.learning.spending import Spending
from collegium.web.serving.parts import Parts

log = logging.getLogger(__name__)
EVERY_S = 1.0
"""Between two writes of a run's progress."""
MARKED_AT_ONCE = 8
STOPPED = "the budget is spent"
BY_A_RUN = ("checker", "judge", "agreement")
Work = tuple[LearningPrompt, Expert]
Cell = tuple[int, str]
"""A prompt's number and an expert's name."""


class RunLost(Exception):
    """The run was cancelled, or another worker has taken it over."""


class LearningRun:
    """One run, resumed from what is stored of it. Answers are stored as they arrive."""

    def __init__(self, parts: Parts, record: RunRecord, worker: str) -> None:
        self._parts = parts
        self._record = record
        self._worker = worker
        self._spec = LearnSpec.model_validate(record.spec)
        self._prompts: tuple[LearningPrompt, ...] = ()
        self._able: dict[int, list[Expert]] = {}
        self._answers: dict[int, dict[str, LearningAnswer]] = defaultdict(dict)
        """By the prompt's number and the expert's name."""
        self._marks: dict[Cell, Mark] = {}
        self._marked: set[int] = set()
        """Prompts whose answers this run has marked."""
        self._spending = Spending(self._spec.budget_usd, record.spent_usd, self._keep_spending)
        self._pieces = Pieces(lambda: parts.draining.begun)
        self._writing = asyncio.Lock()
        self._kept_usd = record.spent_usd
        self._tried: set[str] = set()
        self._first: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._judge: JudgeCalls | None = None
        self._told = 0.0

    async def ended(self, patience_s: float) -> None:
        """Wait so long for what is in progress to end: it is paid for. The service is stopping."""
        await self._pieces.ended(patience_s)
        with contextlib.suppress(RunLost):
            await self._tell("waiting for the service to start again", at_once=True)

    async def ask_all(self) -> str:
        """Ask and mark until nothing is left; say what went otherwise than planned, or "".

        RunLost: stop. SetupError: the checker or the judge gives no marks.
        """
        await self._load()
        marker = Marker(
            self._spec,
            self._record.owner,
            self._incumbent,
            self._judge,
            trusted=self._parts.settings.learn_checkers,
            families={e.name: e.engine or e.origin for e in self._pool},
        )
        await self._mark(marker)
        while todo := self._round():
            await self._ask(todo)
            await self._mark(marker)
            if self._spending.exhausted:
                break
        await self._agree(marker)
        await self._try_panels(marker)
        await self._tell("fitting the router", at_once=True)
        said = (STOPPED if self._spending.exhausted else "", marker.verdicts.told)
        return "; ".join(filter(None, said))

    async def _load(self) -> None:
        """Read what there is, and whom each prompt may still be sent to: rules may have changed."""
        parts, found = self._parts, await self._parts.learning_runs.evidence([self._record.id])
        experts = await parts.catalogue.now()
        named = self._spec.experts
        pool = [e for e in experts if e.enabled and (named is None or e.name in named)]
        self._prompts = found.prompts
        for prompt in found.prompts:
            query = query_of(prompt)
            able = permitted(parts, query, prompt.application, pool, named=named is not None)
            self._able[prompt.number] = able
        for answer in found.answers:
            self._answers[answer.number][answer.expert] = answer
        for mark in found.marks:
            self._keep(mark)
        paid = sum(a.cost_usd or 0.0 for a in found.answers if not a.logged)
        self._spending.spent = max(self._record.spent_usd, paid)
        self._pool = [e for e in pool if any(e in able for able in self._able.values())]
        self._incumbent = self._best_known()
        judge = next((e for e in experts if e.name == self._spec.judge), None)
        self._judge = None if judge is None else JudgeCalls(parts, judge, self._spending)

    def _best_known(self) -> str:
        """The expert to compare with: the one that answers most traffic, or the best by prior."""
        usual = self._record.estimate.get("incumbent")
        if usual is not None:
            return str(usual)
        ranked = day_one_rank(self._pool)
        return ranked[0].name if ranked else ""

    def _round(self) -> list[Work]:
        """Return the next questions: for each application, one round of prompts for the surviving
        experts.
        """
        if self._spending.exhausted:
            return []
        groups: dict[str | None, list[LearningPrompt]] = defaultdict(list)
        for prompt in self._prompts:
            groups[prompt.application].append(prompt)
        survivors = self._survivors()
        todo: list[Work] = []
        for application, prompts in groups.items():
            left = survivors.get(application)
            missing = [self._missing(prompt, left) for prompt in prompts]
            begun = [self._is_begun(prompt) for prompt in prompts]
            opened = max((i + 1 for i, yes in enumerate(begun) if yes), default=0)
            if not any(missing[:opened]):
                opened += ROUND if opened else FIRST
            todo += [work for each in missing[:opened] for work in each]
        return todo

    def _is_begun(self, prompt: LearningPrompt) -> bool:
        return any(not answer.logged for answer in self._answers[prompt.number].values())

    def _missing(self, prompt: LearningPrompt, survivors: Sequence[str] | None) -> list[Work]:
        return [
            (prompt, expert)
            for expert in self._able[prompt.number]
            if expert.name not in self._answers[prompt.number]
            and (survivors is None or expert.name in survivors)
        ]

    def _survivors(self) -> dict[str | None, tuple[str, ...]]:
        """Return the experts still in each application's race; all of them if there is no race."""
        if not self._spec.race:
            return {}
        names = [e.name for e in self._pool]
        column = {name: i for i, name in enumerate(names)}
        scores = np.full((len(self._prompts), len(names)), np.nan)
        cost = np.full_like(scores, np.nan)
        for prompt in self._prompts:
            for expert in self._able[prompt.number]:
                at = prompt.number, column[expert.name]
                answer = self._answers[prompt.number].get(expert.name)
                known = None if answer is None else answer.cost_usd
                usd = price_of(self._parts.tokens, expert, query_of(prompt)).usd
                cost[at] = known if known is not None else (usd or 0.0)
        for (number, expert_name), mark in self._marks.items():
            if expert_name in column:
                scores[number, column[expert_name]] = mark.score
        race = Race(names, frozenset({self._incumbent}), self._spec.seed)
        return race.survivors(scores, cost, [p.application for p in self._prompts])

    async def _ask(self, todo: Sequence[Work]) -> None:
        """Ask at every place at once; engines that take turns one after the other."""
        groups: dict[str, list[Work]] = defaultdict(list)
        for prompt, expert in todo:
            groups[place_of(expert)].append((prompt, expert))
        residents = self._parts.fleet.residents
        turns = [place for place in groups if residents is not None and place in residents]
        work = [self._place(groups[place]) for place in groups if place not in turns]
        await asyncio.gather(*work, *([self._in_turn(turns, groups)] if turns else []))

    async def _in_turn(self, turns: Sequence[str], groups: dict[str, list[Work]]) -> None:
        for place in turns:
            await self._place(groups[place])

    async def _place(self, work: Sequence[Work]) -> None:
        by_expert = sorted(work, key=lambda item: (item[1].name, item[0].number))
        at_once = self._parts.settings.bulk_lines_at_once
        await work_through(by_expert, self._one, at_once=min(at_once, len(by_expert)))

    async def _one(self, item: Work) -> None:
        """Request one answer. With a budget, an expert's first answer is requested before its
        others.

        What it costs tells whether the forecasts can be trusted.
        """
        prompt, expert = item
        if self._spec.budget_usd is None or expert.name in self._tried:
            return await self._answer(prompt, expert)
        async with self._first[expert.name]:
            if expert.name not in self._tried:
                await self._answer(prompt, expert)
                self._tried.add(expert.name)
                return None
        return await self._answer(prompt, expert)

    async def _answer(self, prompt: LearningPrompt, expert: Expert) -> None:
        async with self._pieces.one():
            await self._answer_of(expert, prompt)
        await self._tell(f"{expert.name} answers")

    async def _answer_of(self, expert: Expert, prompt: LearningPrompt) -> None:
        cell = prompt.number, expert.name
        price = price_of(self._parts.tokens, expert, query_of(prompt))
        if not await self._spending.reserve(cell, expert.name, price.most_usd or 0.0):
            return
        answer = None
        most = None if self._spec.budget_usd is None else price.most_tokens
        try:
            answer = await asked(self._parts, prompt, expert, most_tokens=most)
            await to_its_end(self._parts.learning_runs.answered(answer))
            self._answers[prompt.number][expert.name] = answer
        finally:
            self._spending.settle(cell, None if answer is None else answer.cost_usd)

    async def _mark(self, marker: Marker) -> None:
        """Mark the prompts that have answers without a mark."""
        waiting = [prompt for prompt in self._prompts if self._is_unmarked(prompt)]

        async def one(prompt: LearningPrompt) -> None:
            async with self._pieces.one():
                marks = await marker.marks(prompt, list(self._answers[prompt.number].values()))
                await to_its_end(self._parts.learning_runs.mark(marks))
            self._marked.add(prompt.number)
            for mark in marks:
                self._keep(mark)
            await self._tell("marking answers")

        await work_through(waiting, one, at_once=MARKED_AT_ONCE)

    async def _agree(self, marker: Marker) -> None:
        """Where marks come from agreement, mark again with all experts' answers to all prompts."""
        agreed = {m.number for m in self._marks.values() if m.source == "agreement"}
        if not agreed:
            return
        given = {
            number: {n: a.answer for n, a in self._answers[number].items() if a.answer is not None}
            for number in agreed
        }
        await asyncio.to_thread(marker.agreement.fit, list(given.values()))
        self._marked -= agreed
        await self._mark(marker)

    async def _try_panels(self, marker: Marker) -> None:
        """Let aggregators write from the answers of the three best experts, and mark that."""
        members = self._best_three()
        for mode in self._spec.panels if members else ():
            panel = ReplayedPanel(self._parts, self._spending, mode, members, self._chances())
            todo = [p for p in self._prompts if self._can_play(p, panel)][:MOST]
            await work_through(todo, partial(self._play, panel, marker), at_once=MARKED_AT_ONCE)

    def _best_three(self) -> tuple[Expert, ...]:
        """Those with the best marks; none where fewer have some."""
        level = self._levels()
        best = sorted(level, key=lambda name: -level[name])[:SEATS]
        found = {e.name: e for e in self._pool}
        return tuple(found[name] for name in best) if len(best) == SEATS else ()

    def _levels(self) -> dict[str, float]:
        """The mean mark of each expert that has enough of them."""
        scores: dict[str, list[float]] = defaultdict(list)
        for (_, name), mark in self._marks.items():
            scores[name].append(mark.score)
        names = {e.name for e in self._pool}
        return {n: sum(s) / len(s) for n, s in scores.items() if n in names and len(s) >= FEWEST}

    def _chances(self) -> dict[str, float]:
        """What an aggregator is told of the members: their marks, where a program gave them."""
        checked = all(mark.source == "checker" for mark in self._marks.values())
        return self._levels() if checked else {}

    def _can_play(self, prompt: LearningPrompt, panel: ReplayedPanel) -> bool:
        """Whether all members answered it, and the panel's answer has no mark yet."""
        said = (self._answers[prompt.number].get(e.name) for e in panel.members)
        unmarked = (prompt.number, panel.name) not in self._marks
        return unmarked and all(a is not None and a.answer for a in said)

    async def _play(self, panel: ReplayedPanel, marker: Marker, prompt: LearningPrompt) -> None:
        async with self._pieces.one():
            await self._play_one(panel, marker, prompt)
        await self._tell(f"{panel.name} answers")

    async def _play_one(self, panel: ReplayedPanel, marker: Marker, prompt: LearningPrompt) -> None:
        answers = self._answers[prompt.number]
        answer = answers.get(panel.name)  # of an interrupted run
        if answer is None:
            answer = await panel.answer(prompt, query_of(prompt), answers)
            if answer is None:
                return
            await to_its_end(self._parts.learning_runs.answered(answer))
            answers[panel.name] = answer
        beside = [answers[n] for n in (self._incumbent,) if n in answers]
        found = await marker.marks(prompt, [answer, *beside])
        marks = [mark for mark in found if mark.expert == panel.name]
        await to_its_end(self._parts.learning_runs.mark(marks))
        for mark in marks:
            self._keep(mark)

    def _keep(self, mark: Mark) -> None:
        """Of several marks of an answer, keep the one from the best source."""
        cell = mark.number, mark.expert
        before = self._marks.get(cell)
        if before is None or RANK[mark.source] <= RANK[before.source]:
            self._marks[cell] = mark
        if mark.source in BY_A_RUN:
            self._marked.add(mark.number)

    def _is_unmarked(self, prompt: LearningPrompt) -> bool:
        return prompt.number not in self._marked and len(self._answers[prompt.number]) > 1

    async def _tell(self, detail: str, *, at_once: bool = False) -> None:
        """Store the progress and renew the lease; raise RunLost if another worker holds the run."""
        now = time.monotonic()
        if not at_once and now < self._told + EVERY_S:
            return
        self._told = now
        async with self._writing:
            await self._renew(detail=detail, answered=sum(map(len, self._answers.values())))

    async def _keep_spending(self) -> None:
        """Write what is committed, unless another question's write covers it."""
        async with self._writing:
            if self._spending.committed > self._kept_usd:
                await self._renew()

    async def _renew(self, **progress: Any) -> None:
        usd = self._spending.committed
        runs, run_id = self._parts.learning_runs, self._record.id
        estimate = {**self._record.estimate, RESERVED: self._spending.reserved}
        progress |= {"spent_usd": usd, "estimate": estimate}
        if not await runs.renew(run_id, self._worker, **progress):
            raise RunLost
        self._kept_usd = usd


async def to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Complete a write that has begun even if the service stops: the answer has been paid for."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


def query_of(prompt: LearningPrompt) -> Query:
    """Return the query as the router sees it before anything is asked."""
    request = prompt.request
    given = [n for name in LENGTHS if isinstance(n := request.get(name), int)]
    length = max(given, default=None)  # whichever of two an upstream reads
    return Query(
        prompt.text,
        max_tokens=length,
        prompt_tokens=prompt_tokens(request),
        signals=signals_of(prompt),
        application=prompt.application,
        needs=needs_of(request),
    )
