"""Mark the answers to one prompt: by a program, by a judge, or by how far the experts agree."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from collegium.errors import BadRequest, CollegiumError, SetupError
from collegium.experts.marking import Checker, checker_of
from collegium.experts.marking.agreement import Agreement
from collegium.experts.marking.judge import compare, grade
from collegium.registry.learning import LearningAnswer, LearningPrompt, Mark, MarkSource
from collegium.web.learning.asking import JudgeCalls
from collegium.web.learning.spec import LearnSpec

log = logging.getLogger(__name__)
UNKNOWN_RELIABILITY = 0.75
"""Of a judge and of agreement, until somebody confirms some of their marks."""


class Marker:
    """Marks answers as a run was asked to."""

    def __init__(
        self,
        spec: LearnSpec,
        owner: str,
        incumbent: str,
        judge: JudgeCalls | None = None,
        *,
        trusted: Collection[str] = (),
        families: Mapping[str, str] | None = None,
    ) -> None:
        self._spec = spec
        self._owner = owner
        self._incumbent = incumbent
        self._judge = judge
        self._trusted = trusted
        self._checkers: dict[str, Checker] = {}
        self.agreement = Agreement(families)

    async def marks(self, prompt: LearningPrompt, answers: Sequence[LearningAnswer]) -> list[Mark]:
        """The marks of all answers to a prompt. An answer that never came is marked 0."""
        given = {a.expert: a.answer for a in answers if a.answer is not None}
        failed = dict.fromkeys((a.expert for a in answers if a.answer is None), 0.0)
        described = prompt.checker or self._usual(prompt)
        if described is not None:
            found = await asyncio.to_thread(self._checked, prompt, given, described)
            return self._all(prompt, found | failed, "checker", 1.0)
        if self._judge is not None:
            found = await self._judged(prompt, given, self._judge)
            marks = self._all(prompt, found | failed, "judge", UNKNOWN_RELIABILITY)
            return [self._exact(mark) for mark in marks]
        agreed = {n: m for n, m in self.agreement.marks(given).items() if m is not None}
        return self._all(prompt, agreed | failed, "agreement", UNKNOWN_RELIABILITY)

    def _usual(self, prompt: LearningPrompt) -> Mapping[str, Any] | None:
        """The run's checker, else equality with the reference where there is one."""
        if self._spec.checker is not None:
            return self._spec.checker
        return None if prompt.reference is None else {"name": "reference"}

    def _checked(
        self,
        prompt: LearningPrompt,
        given: Mapping[str, Mapping[str, Any]],
        described: Mapping[str, Any],
    ) -> dict[str, float]:
        checker = self._checker(described)
        marks = {
            name: checker.mark(prompt.request, answer, prompt.reference)
            for name, answer in given.items()
        }
        return {name: mark for name, mark in marks.items() if mark is not None}

    def _checker(self, described: Mapping[str, Any]) -> Checker:
        key = repr(sorted(described.items()))
        if key not in self._checkers:
            self._checkers[key] = make_checker(described, self._trusted)
        return self._checkers[key]

    async def _judged(
        self,
        prompt: LearningPrompt,
        given: Mapping[str, Mapping[str, Any]],
        judge: JudgeCalls,
    ) -> dict[str, float]:
        """Each answer against the incumbent's, which so is worth a half; or each by itself."""
        usual = given.get(self._incumbent)

        async def verdict(name: str, answer: Mapping[str, Any]) -> float | None:
            if self._spec.judge_method == "grade":
                return await self._asked(grade(judge, prompt.request, answer, prompt.reference))
            if usual is None:
                return None
            if name == self._incumbent or _same(answer, usual):
                return 0.5
            return await self._asked(preference(judge, prompt.request, answer, usual))

        marks = await asyncio.gather(*(verdict(n, answer) for n, answer in given.items()))
        pairs = zip(given, marks, strict=True)
        return {name: mark for name, mark in pairs if mark is not None}

    def _exact(self, mark: Mark) -> Mark:
        """The incumbent is compared with itself: its mark is no judgement."""
        compared = self._spec.judge_method == "pairwise" and mark.expert == self._incumbent
        return replace(mark, reliability=1.0) if compared else mark

    async def _asked(self, judging: Awaitable[float | None]) -> float | None:
        """A verdict; None where the judge can't be asked: the answer then has no mark."""
        try:
            return await judging
        except CollegiumError as exc:
            log.warning("the judge gives no mark: %s", exc)
            return None

    def _all(
        self,
        prompt: LearningPrompt,
        scores: Mapping[str, float],
        source: MarkSource,
        reliability: float,
    ) -> list[Mark]:
        return [
            Mark(prompt.run_id, prompt.number, name, source, score, reliability, self._owner)
            for name, score in scores.items()
        ]


async def preference(
    judge: JudgeCalls,
    request: Mapping[str, Any],
    answer: Mapping[str, Any],
    usual: Mapping[str, Any],
) -> float | None:
    """1 where the answer is better than the usual one, 0 where it is worse, 0.5 for a tie."""
    return (await compare(judge, request, answer, usual)).mark


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return bool(one.get("content")) and one.get("content") == other.get("content")


def make_checker(described: Mapping[str, Any], trusted: Collection[str] = ()) -> Checker:
    """The checker of a name and options; BadRequest says what is wrong with them.

    `trusted` are the entry points that the setting `learn_checkers` names: their code is run.
    """
    options = {name: value for name, value in described.items() if name != "name"}
    name = described.get("name")
    if not isinstance(name, str):
        raise BadRequest('A checker needs its name, as in {"name": "number"}', "checker")
    try:
        return checker_of(name, trusted=name in trusted, **options)
    except SetupError as exc:  # such as a database that can't be read
        raise BadRequest(f"The checker '{name}' can't be made of these options", "checker") from exc
