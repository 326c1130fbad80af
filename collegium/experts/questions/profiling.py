"""Ask an expert questions within a budget, the most informative first, and mark its answers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from collegium.errors import CollegiumError, ExpertError, ExpertRejected
from collegium.experts.clients.counting import prompt_tokens
from collegium.experts.clients.usage import Tokens
from collegium.experts.presets import tier_of
from collegium.experts.pricing import answered_usd
from collegium.experts.questions.adaptive import Adaptive, Cell, Level
from collegium.experts.questions.answers import Answered, AnswerLog
from collegium.experts.questions.base import Question
from collegium.experts.questions.source import Source
from collegium.registry.expert import Expert

MOST_TOKENS = 1024
FEWEST_TOKENS = 64
"""Minimum tokens of an answer: a question that leaves less of the context window is skipped."""
USUAL_TOKENS = 150
"""Assumed tokens of an answer, for the estimate."""
MARGIN = 1.3
"""How far the estimated tokens of a prompt may be too low."""
CONCURRENCY = 4
HOPELESS = 5
"""After this many consecutive failures the expert is considered gone."""


@dataclass(frozen=True)
class Reply:
    """An answer and its usage."""

    message: Mapping[str, Any]
    prompt_tokens: int
    completion_tokens: int


Ask = Callable[[Mapping[str, Any]], Awaitable[Reply]]
"""Maps a request without a model to the expert's answer."""


@dataclass(frozen=True)
class Plan:
    """The number of questions and their cost; dollars are None if the price is unknown."""

    questions: int
    prompt_tokens: int
    completion_tokens: int
    usual_usd: float | None
    budget_usd: float | None
    """Asking stops once the next question might exceed what is left of this."""


@dataclass(frozen=True)
class Profile:
    """The result."""

    levels: Mapping[str, Level]
    answers: tuple[Answered, ...]
    cost_usd: float | None


def planned(expert: Expert, source: Source, questions: int, budget_usd: float | None) -> Plan:
    """Estimate the cost; the budget is twice that by default."""
    if source.count is not None:
        questions = min(questions, source.count)
    drawn = [q for cell in source.cells if (q := source.get(cell, 0)) is not None]
    prompt = round(questions * sum(prompt_tokens(q.request) for q in drawn) / max(len(drawn), 1))
    completion = questions * USUAL_TOKENS
    usual = price(expert, prompt, completion)
    if budget_usd is None and usual is not None:
        budget_usd = max(2 * usual, price(expert, prompt // 4, MOST_TOKENS) or 0.0)
    return Plan(questions, prompt, completion, usual, budget_usd)


def price(expert: Expert, prompt: float, completion: float) -> float | None:
    """Dollars for these tokens; None if a price is unknown."""
    if expert.input_price is None or expert.output_price is None:
        return None
    return answered_usd(expert, Tokens(round(prompt), round(completion)), tier_of(expert, None))


class Profiler:
    """One expert's round of questions; answers in the log are not requested again."""

    def __init__(
        self,
        expert: Expert,
        source: Source,
        ask: Ask,
        log: AnswerLog,
        most_tokens: int = MOST_TOKENS,
    ) -> None:
        self._expert = expert
        self._source = source
        self._ask = ask
        self._log = log
        self._most = most_tokens
        self._failed = 0
        self.adaptive = Adaptive(source.cells)
        self._numbers: Counter[Cell] = Counter()
        self._pending: Counter[Cell] = Counter()
        self._empty: set[Cell] = set()
        self._answers: list[Answered] = []
        self._spent = self._reserved = 0.0
        self._settled = asyncio.Condition()

    async def run(
        self, plan: Plan, told: Callable[[Answered], None] = lambda _answer: None
    ) -> Profile:
        """Ask until the questions or the budget are exhausted; `told` receives each answer."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(CONCURRENCY):
                    group.create_task(self._worker(plan, told))
        except* CollegiumError as failed:
            raise failed.exceptions[0] from failed
        asked = {answer.kind for answer in self._answers if answer.mark is not None}
        levels = {k: level for k, level in self.adaptive.levels().items() if k in asked}
        known = price(self._expert, 0, 0) is not None
        return Profile(levels, tuple(self._answers), self._spent if known else None)

    async def _worker(self, plan: Plan, told: Callable[[Answered], None]) -> None:
        while len(self._answers) + self._pending.total() < plan.questions:
            question = self._next()
            if question is None:
                return
            cell = question.kind, question.level
            known = self._log.answers.get(question.id)
            most = 0.0 if known else self._most_usd(question)
            self._pending[cell] += 1
            try:
                if not await self._affordable(most, plan.budget_usd):
                    self._empty.add(cell)  # a cheaper one may still be paid for
                    continue
                self._reserved += most
                try:
                    answer = self._marked(question, known) if known else await self._asked(question)
                finally:
                    self._reserved -= most
            finally:
                self._pending[cell] -= 1
            self._keep(cell, answer, told, paid=known is None)
            async with self._settled:
                self._settled.notify_all()

    def _most_usd(self, question: Question) -> float:
        return price(self._expert, MARGIN * prompt_tokens(question.request), self._most) or 0.0

    async def _affordable(self, most: float, budget: float | None) -> bool:
        """Whether the budget covers a question, once those in flight are settled."""
        async with self._settled:
            while budget is not None and self._spent + self._reserved + most > budget:
                if self._reserved <= 1e-12:
                    return False
                await self._settled.wait()
        return True

    def _next(self) -> Question | None:
        """The next question of the most telling cell that has one left."""
        while len(self._empty) < len(self._source.cells):
            left = [cell for cell in self._source.cells if cell not in self._empty]
            cell = self.adaptive.next(self._pending, left)
            question = self._source.get(cell, self._numbers[cell])
            if question is not None:
                self._numbers[cell] += 1
                return question
            self._empty.add(cell)
        return None

    def _keep(
        self, cell: Cell, answer: Answered, told: Callable[[Answered], None], *, paid: bool
    ) -> None:
        if paid and (answer.mark is not None or not answer.note):
            self._spent += answer.cost_usd or 0.0
            self._log.add(answer)
        if answer.mark is not None:
            self.adaptive.told(cell, answer.mark)
        self._answers.append(answer)
        told(answer)

    def _marked(self, question: Question, known: Answered) -> Answered:
        """Mark a stored answer again, because a better checker applies to old answers too."""
        return known if known.note else replace(known, mark=question.mark(known.message))

    async def _asked(self, question: Question) -> Answered:
        """Ask; what the expert can't be asked, or refuses to be, it can't answer."""
        where = question.id, question.kind, question.level
        room = self._expert.context_window - round(MARGIN * prompt_tokens(question.request))
        if room < FEWEST_TOKENS:
            return Answered(*where, 0.0, {}, note="it does not fit the context window")
        request = {"temperature": 0, "max_tokens": min(self._most, room), **question.request}
        try:
            reply = await self._ask_leniently(request)
        except ExpertRejected as exc:
            return Answered(*where, 0.0, {}, note=str(exc)[:300])
        except ExpertError as exc:
            self._failed += 1
            if self._failed >= HOPELESS:
                raise
            return Answered(*where, None, {}, note=str(exc)[:300])
        self._failed = 0
        used = reply.prompt_tokens, reply.completion_tokens
        mark = await asyncio.to_thread(question.mark, reply.message)
        return Answered(*where, mark, dict(reply.message), *used, price(self._expert, *used))

    async def _ask_leniently(self, request: Mapping[str, Any]) -> Reply:
        """Reasoning models refuse a temperature."""
        try:
            return await self._ask(request)
        except ExpertRejected:
            return await self._ask({k: v for k, v in request.items() if k != "temperature"})
