"""Replay known prompts whose answers a program can check."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from collegium.errors import CollegiumError
from collegium.registry.expert import Expert
from collegium.registry.learning.runs import Evidence, LearningPrompt
from collegium.registry.learning.watching import Replay
from collegium.router.forecasting import fingerprint
from collegium.web.learning.asking import asked
from collegium.web.learning.costs import price_of
from collegium.web.learning.marking import Marker
from collegium.web.learning.proposal import permitted
from collegium.web.learning.run import query_of, to_its_end
from collegium.web.learning.spec import LearnSpec
from collegium.web.serving.parts import Parts

log = logging.getLogger(__name__)
MOST_A_MINUTE = 30
"""Answers, of all experts together."""
WINDOW = timedelta(hours=24)
"""The share is kept within."""
KEPT = timedelta(days=90)
READ_EVERY_S = 600.0
IDLE_S = 15.0
"""Seconds between two checks while nothing may be asked."""


@dataclass
class Known:
    """A prompt of an earlier run, and the marks that a program gave the answers, by weights."""

    prompt: LearningPrompt
    spec: LearnSpec
    owner: str
    marks: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


class Replays:
    """Replays one prompt after the other, within the share. Only the leading replica has one."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._known: list[Known] = []
        self._rates: dict[str, float] = {}
        self._read_at: float | None = None
        self._next = 0

    async def run(self) -> None:
        """Replay until cancelled."""
        while True:
            try:
                count = await self.once()
            except CollegiumError as exc:
                log.warning("no prompt is replayed for now: %s", exc)
                count = 0
            except Exception:  # the outermost handler: the next prompt may be replayed
                log.exception("a replay failed")
                count = 0
            await asyncio.sleep(60 * count / MOST_A_MINUTE if count else IDLE_S)

    async def once(self) -> int:
        """Send a prompt to all experts that have marks on it; return how many there were."""
        await self._read()
        if not self._known:
            return 0
        known = self._known[self._next % len(self._known)]
        self._next += 1
        able = await self._able(known)
        if not able or not await self._affordable(known.prompt, able):
            return 0
        answers = await asyncio.gather(*(asked(self._parts, known.prompt, e) for e in able))
        given = [answer for answer in answers if answer.answer is not None]
        marker = Marker(known.spec, known.owner, "", trusted=self._parts.settings.learn_checkers)
        marks = {m.expert: m.score for m in await marker.marks(known.prompt, given)}
        for answer in given:
            if answer.expert in marks:
                weights = answer.fingerprint
                replay = Replay(
                    answer.expert,
                    weights,
                    known.prompt.digest,
                    known.prompt.application,
                    marks[answer.expert],
                    self._forecast(known, weights),
                    answer.cost_usd,
                )
                await to_its_end(self._parts.watching.replayed(replay))
        return len(able)

    def _forecast(self, known: Known, weights: str) -> float:
        """The mean of its marks on the prompt, with its usual rate as one mark more."""
        marks = known.marks[weights]
        return (sum(marks) + self._rates[weights]) / (len(marks) + 1)

    async def _able(self, known: Known) -> list[Expert]:
        """Return the experts whose answers to the prompt were marked and that may be asked now."""
        experts = await self._parts.catalogue.now()
        marked = [e for e in experts if e.enabled and known.marks.get(fingerprint(e))]
        prompt = known.prompt
        return permitted(self._parts, query_of(prompt), prompt.application, marked, named=True)

    async def _affordable(self, prompt: LearningPrompt, able: Sequence[Expert]) -> bool:
        """Whether the replays stay within their share of all spending of the last day.

        Of experts without a price, they are to stay within that share of all answers.
        """
        share, since = self._parts.settings.watch_share, datetime.now(UTC) - WINDOW
        query = query_of(prompt)
        prices = [price_of(self._parts.tokens, e, query).most_usd or 0.0 for e in able]
        paid, free = sum(prices), sum(usd == 0 for usd in prices)
        replayed_usd, replayed = await self._parts.watching.replaying(since)
        answered_usd, answered = await self._parts.watching.answering(since)
        within_usd = not paid or replayed_usd + paid <= share * answered_usd
        return within_usd and (not free or replayed + free <= share * answered)

    async def _read(self) -> None:
        """Read the prompts of all runs again, from time to time."""
        now = asyncio.get_running_loop().time()
        if self._read_at is not None and now < self._read_at + READ_EVERY_S:
            return
        self._read_at = now
        await to_its_end(self._parts.watching.prune(datetime.now(UTC) - KEPT))
        runs = self._parts.learning_runs
        records = {run_id: await runs.get(run_id) for run_id in await runs.with_marks()}
        evidence = await runs.evidence(list(records))
        specs = {run_id: LearnSpec.model_validate(r.spec) for run_id, r in records.items()}
        self._known = known_prompts(evidence, specs, {n: r.owner for n, r in records.items()})
        random.shuffle(self._known)
        marks: dict[str, list[float]] = defaultdict(list)
        for known in self._known:
            for weights, scores in known.marks.items():
                marks[weights] += scores
        self._rates = {weights: sum(m) / len(m) for weights, m in marks.items()}


def known_prompts(
    evidence: Evidence, specs: dict[str, LearnSpec], owners: dict[str, str]
) -> list[Known]:
    """The prompts whose answers a program marked, each once."""
    weights = {(a.run_id, a.number, a.expert): a.fingerprint for a in evidence.answers}
    by_place = {(p.run_id, p.number): p for p in evidence.prompts}
    found: dict[str, Known] = {}
    for mark in evidence.marks:
        prompt = by_place.get((mark.run_id, mark.number))
        name = weights.get((mark.run_id, mark.number, mark.expert))
        if mark.source != "checker" or prompt is None or name is None:
            continue
        known = found.setdefault(
            prompt.digest, Known(prompt, specs[mark.run_id], owners[mark.run_id])
        )
        known.marks[name].append(mark.score)
    return list(found.values())
