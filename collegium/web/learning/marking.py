"""Mark the answers to one prompt: by a program, by a judge, or by the experts' agreement."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from collegium.errors import (
    BadRequest,
    BudgetExhausted,
    CollegiumError,
    DatabaseUnavailable,
    SetupError,
)
from collegium.experts.marking import Checker, checker_of, is_builtin
from collegium.experts.marking.agreement import Agreement
from collegium.experts.marking.judge import JudgeMethod
from collegium.extensions import extensions
from collegium.registry.learning.runs import LearningAnswer, LearningPrompt, Mark, MarkSource
from collegium.web.learning.asking import JudgeCalls
from collegium.web.learning.spec import LearnSpec
from collegium.web.serving.timed_thread import in_time

log = logging.getLogger(__name__)
TRIED: Mapping[str, Any] = {"role": "assistant", "content": "an answer"}
MOST_FAULTS = 5
CHECK_S = 60.0
"""For all answers to one prompt."""
VAIN = 12
"""Answers on which a judge may give no verdict before a run ends."""
NO_VERDICT = "it did not say what it was asked for"
UNKNOWN_RELIABILITY = 0.75
"""For a judge and for agreement, until people have confirmed some of their marks."""


class Verdicts:
    """Counts what a judge was asked, and what it left without a verdict."""

    def __init__(self, judge: str) -> None:
        self._judge = judge
        self._asked = 0
        self._missing = 0
        self._why = ""

    def count(self, mark: float | None, why: str) -> None:
        """Count a verdict; SetupError if none of the first ones came: the others cost money."""
        self._asked += 1
        if mark is None:
            self._missing += 1
            self._why = why
        if self._asked == self._missing == VAIN:
            raise SetupError(
                f"the judge '{self._judge}' gave no verdict on any of {VAIN} answers ({why}). The "
                "experts' answers are kept: mend the judge or name another, and start a new run"
            )

    @property
    def told(self) -> str:
        """What was left out, in words; "" if nothing was."""
        if not self._missing:
            return ""
        return (
            f"the judge '{self._judge}' gave no verdict on {self._missing} of {self._asked} "
            f"answers, which have no mark ({self._why})"
        )


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
        self._method: JudgeMethod = extensions().load("judge", spec.judge_method, of=JudgeMethod)
        self.agreement = Agreement(families)
        self.verdicts = Verdicts(spec.judge or "")

    async def marks(self, prompt: LearningPrompt, answers: Sequence[LearningAnswer]) -> list[Mark]:
        """The marks of all answers to a prompt. An answer that never came is marked 0, surely.

        SetupError says that the checker or the judge gives no marks.
        """
        given = {a.expert: a.answer for a in answers if a.answer is not None}
        failed = dict.fromkeys((a.expert for a in answers if a.answer is None), 0.0)
        described = prompt.checker or self._usual(prompt)
        if described is not None:
            found = await self._in_time(prompt, given, described)
            return self._all(prompt, found | failed, "checker", 1.0)
        if self._judge is not None:
            found = await self._judged(prompt, given, self._judge)
            marks = self._all(prompt, found, "judge", UNKNOWN_RELIABILITY)
            sure = self._all(prompt, failed, "judge", 1.0)
            return [*map(self._exact, marks), *sure]
        agreed = {n: m for n, m in self.agreement.marks(given).items() if m is not None}
        marks = self._all(prompt, agreed, "agreement", UNKNOWN_RELIABILITY)
        return [*marks, *self._all(prompt, failed, "agreement", 1.0)]

    def _usual(self, prompt: LearningPrompt) -> Mapping[str, Any] | None:
        """Return the run's checker, or equality with the reference if there is one."""
        if self._spec.checker is not None:
            return self._spec.checker
        return None if prompt.reference is None else {"name": "reference"}

    async def _in_time(
        self,
        prompt: LearningPrompt,
        given: Mapping[str, Mapping[str, Any]],
        described: Mapping[str, Any],
    ) -> dict[str, float]:
        """What the checker says; SetupError where it takes too long: others' code may hang."""
        try:
            return await in_time(partial(self._checked, prompt, given, described), CHECK_S)
        except TimeoutError as exc:
            name = described.get("name")
            raise SetupError(f"The checker '{name}' gave no marks within {CHECK_S:g} s") from exc

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
        """Judge each answer against the incumbent's, which counts as one half, or each on its
        own.
        """
        usual, method = given.get(self._incumbent), self._method

        async def verdict(name: str, answer: Mapping[str, Any]) -> float | None:
            if method.compares and usual is None:
                return None
            if method.compares and (name == self._incumbent or _same(answer, usual)):
                return 0.5
            asked = method.verdict(
                judge, prompt.request, answer, usual=usual, reference=prompt.reference
            )
            return await self._asked(asked)

        marks = await asyncio.gather(*(verdict(n, answer) for n, answer in given.items()))
        pairs = zip(given, marks, strict=True)
        return {name: mark for name, mark in pairs if mark is not None}

    def _exact(self, mark: Mark) -> Mark:
        """Skip the incumbent's comparison with itself, which is not a judgement."""
        compared = self._method.compares and mark.expert == self._incumbent
        return replace(mark, reliability=1.0) if compared else mark

    async def _asked(self, judging: Awaitable[float | None]) -> float | None:
        """A verdict; None if there is none, which leaves the answer without a mark."""
        try:
            mark, why = await judging, NO_VERDICT
        except BudgetExhausted as exc:
            log.warning("the judge gives no mark: %s", exc)
            return None
        except DatabaseUnavailable:
            raise  # the run waits until it is back
        except CollegiumError as exc:
            log.warning("the judge gives no mark: %s", exc)
            mark, why = None, str(exc)
        except Exception as exc:
            if extensions().is_builtin("judge", self._spec.judge_method):
                raise
            mark, why = None, f"the judge method '{self._spec.judge_method}' failed: {exc!r}"
            log.warning("%s", why)  # it may raise anything
        self.verdicts.count(mark, why)
        return mark

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


def _same(one: Mapping[str, Any], other: Mapping[str, Any] | None) -> bool:
    return bool(one.get("content")) and other is not None and one["content"] == other.get("content")


def try_references(
    spec: LearnSpec, prompts: Sequence[LearningPrompt], trusted: Collection[str] = ()
) -> None:
    """Raise BadRequest if a checker can't use a prompt's reference: its answers would get no marks.

    Only our own checkers are called: what others need is theirs to say.
    """
    faults: list[str] = []
    for prompt in prompts:
        described = prompt.checker or spec.checker or {"name": "reference"}
        name = str(described.get("name"))
        if prompt.reference is None or not is_builtin(name):
            continue
        checker = make_checker(described, trusted)
        if checker.mark(prompt.request, TRIED, prompt.reference) is None:
            shown = json.dumps(prompt.reference, ensure_ascii=False)[:60]
            faults.append(f"{shown} of {prompt.text[:40]!r}")
        if len(faults) == MOST_FAULTS:
            break
    if faults:
        words = "; ".join(faults)
        raise BadRequest(f"References that their checker can't use: {words}", "reference")


def make_checker(described: Mapping[str, Any], trusted: Collection[str] = ()) -> Checker:
    """The checker of a name and options; BadRequest says what is wrong with them.

    `trusted` are the entry points that the setting `learn_checkers` names: their code is run.
    """
    options = {name: value for name, value in described.items() if name != "name"}
    name = described.get("name")
    if not isinstance(name, str):
        raise BadRequest('A checker needs a name, as in {"name": "number"}', "checker")
    try:
        return checker_of(name, trusted=name in trusted, **options)
    except SetupError as exc:  # such as a database that can't be read, or a plugin that fails
        log.warning("the checker '%s': %s", name, exc.whole)
        words = f"The checker '{name}' can't be made of these options"
        raise BadRequest(words if is_builtin(name) else str(exc), "checker") from exc
