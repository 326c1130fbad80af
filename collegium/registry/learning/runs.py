"""Learning runs: the replayed prompts, the answers, and their marks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Select, delete, insert, or_, select, update

from collegium.errors import UnknownLearningRun
from collegium.registry.clock import utc_now
from collegium.registry.storage.database import Database
from collegium.registry.tables import (
    LearningAnswerRow,
    LearningPromptRow,
    LearningRunRow,
    MarkRow,
    RouterVersionRow,
    from_row,
    to_columns,
)

RunStatus = Literal["proposed", "running", "finished", "failed", "cancelled"]
ENDED: tuple[RunStatus, ...] = ("finished", "failed", "cancelled")
MarkSource = Literal["checker", "confirmed", "judge", "agreement", "rating", "preference"]
AT_ONCE = 500
"""Prompts that are looked up together."""
LEASE = timedelta(seconds=30)
"""A run is taken over if its worker has not renewed its lease for this long."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One learning run: its specification, its estimate, and its result."""

    id: str
    owner: str
    spec: Mapping[str, Any]
    estimate: Mapping[str, Any]
    status: RunStatus = "proposed"
    detail: str = ""
    """What the run is doing, or why it ended early."""
    created_at: datetime = field(default_factory=utc_now)
    finished_at: datetime | None = None
    spent_usd: float = 0.0
    answered: int = 0
    planned: int = 0
    report: Mapping[str, Any] | None = None
    router: str | None = None
    """The version of the router that was fitted at the end."""
    worker: str | None = None
    leased_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class LearningPrompt:
    """One request that is replayed, as it is sent to an expert."""

    run_id: str
    number: int
    digest: str
    """Identifies equal requests across runs."""
    text: str
    """The text that the router reads."""
    request: Mapping[str, Any]
    signals: Mapping[str, Any]
    application: str | None = None
    reference: Any = None
    checker: Mapping[str, Any] | None = None
    decision_id: str | None = None


@dataclass(frozen=True, slots=True)
class LearningAnswer:
    """One expert's answer to one prompt; `answer` is None if it failed."""

    run_id: str
    number: int
    expert: str
    fingerprint: str
    answer: Mapping[str, Any] | None
    error: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: float | None = None
    latency_ms: float | None = None
    logged: bool = False
    """Whether it was taken from the log instead of being paid for again."""
    created_at: datetime = field(default_factory=utc_now)


@dataclass(frozen=True, slots=True)
class Mark:
    """How correct an answer is, in [0, 1], according to one source."""

    run_id: str
    number: int
    expert: str
    source: MarkSource
    score: float
    reliability: float
    """The source's estimated share of correct marks, 1 for a program's."""
    owner: str
    created_at: datetime = field(default_factory=utc_now)


@dataclass(frozen=True, slots=True)
class Evidence:
    """The prompts, answers and marks of a run."""

    prompts: tuple[LearningPrompt, ...]
    answers: tuple[LearningAnswer, ...]
    marks: tuple[Mark, ...]


class LearningRegistry:
    """The learning runs and their evidence. Every answer is written as soon as it is paid for."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def propose(
        self,
        run: RunRecord,
        prompts: Sequence[LearningPrompt],
        answers: Sequence[LearningAnswer] = (),
        marks: Sequence[Mark] = (),
    ) -> None:
        """Write a run, its prompts, and the answers and marks that are there already, together."""
        async with self._database.transaction() as session:
            await session.execute(insert(LearningRunRow), to_columns(run))
            if prompts:
                await session.execute(insert(LearningPromptRow), [to_columns(p) for p in prompts])
            if answers:
                await session.execute(insert(LearningAnswerRow), [to_columns(a) for a in answers])
            if marks:
                await session.execute(insert(MarkRow), [to_columns(m) for m in marks])

    async def get(self, run_id: str) -> RunRecord:
        """Return one run."""
        async with self._database.session() as session:
            row = await session.get(LearningRunRow, run_id)
        if row is None:
            raise UnknownLearningRun(f"no learning run has the id '{run_id}'", "run_id")
        return from_row(RunRecord, row)

    async def remove(self, run_id: str) -> None:
        """Delete a run with its texts, answers, marks and candidate router.

        A router of its that is or was in use stays, for a rollback; reports quote its prompts no
        longer.
        """
        from collegium.registry.learning.forgetting import unquote

        texts = select(LearningPromptRow.text).where(LearningPromptRow.run_id == run_id)
        unused = (RouterVersionRow.run_id == run_id) & (RouterVersionRow.status == "candidate")
        async with self._database.transaction() as session:
            quoted = set(await session.scalars(texts))
            gone = delete(LearningRunRow).where(LearningRunRow.id == run_id)
            done: Any = await session.execute(gone)
            if not done.rowcount:
                raise UnknownLearningRun(f"no learning run has the id '{run_id}'", "run_id")
            await session.execute(delete(RouterVersionRow).where(unused))
            await unquote(session, quoted)

    async def list(self, limit: int = 50) -> tuple[RunRecord, ...]:
        """Return the latest runs, newest first."""
        newest = LearningRunRow.created_at.desc(), LearningRunRow.id.desc()
        return await self._runs(select(LearningRunRow).order_by(*newest).limit(limit))

    async def change(self, run_id: str, *, out_of: Sequence[RunStatus], **changes: Any) -> bool:
        """Change a run that has one of these statuses; say whether it had."""
        here = (LearningRunRow.id == run_id) & LearningRunRow.status.in_(out_of)
        async with self._database.transaction() as session:
            done: Any = await session.execute(update(LearningRunRow).where(here).values(**changes))
            return bool(done.rowcount)

    async def claim(self, worker: str) -> RunRecord | None:
        """Claim a running run that no live worker holds, for `LEASE`; return None if there is none.

        Replicas that share a database so never work on the same run.
        """
        now = utc_now()
        idle = or_(LearningRunRow.leased_until.is_(None), LearningRunRow.leased_until < now)
        free = (LearningRunRow.status == "running") & idle
        oldest = select(LearningRunRow.id).where(free).order_by(LearningRunRow.created_at).limit(1)
        async with self._database.session() as session:
            found = await session.scalar(oldest)
        if found is None:
            return None
        taken: dict[str, Any] = {"worker": worker, "leased_until": now + LEASE}
        async with self._database.transaction() as session:
            this = update(LearningRunRow).where(LearningRunRow.id == found, free)
            done: Any = await session.execute(this.values(**taken))
        return await self.get(found) if done.rowcount else None

    async def renew(self, run_id: str, worker: str, **progress: Any) -> bool:
        """Extend the lease and write the progress; False if another worker holds it now."""
        held: dict[str, Any] = {"leased_until": utc_now() + LEASE, **progress}
        ours = (LearningRunRow.id == run_id) & (LearningRunRow.worker == worker)
        ours &= LearningRunRow.status == "running"
        async with self._database.transaction() as session:
            done: Any = await session.execute(update(LearningRunRow).where(ours).values(**held))
            return bool(done.rowcount)

    async def release(self, worker: str) -> None:
        """Let go of the worker's run, for another to take it over at once."""
        held = LearningRunRow.worker == worker
        async with self._database.transaction() as session:
            freed = update(LearningRunRow).where(held)
            await session.execute(freed.values(worker=None, leased_until=None))

    async def answered(self, answer: LearningAnswer) -> None:
        """Write an answer; when this returns, it outlives a crash of the process."""
        statement = self._database.upsert(LearningAnswerRow)
        await self._database.write(statement, to_columns(answer))

    async def mark(self, marks: Sequence[Mark]) -> None:
        """Write marks, in place of earlier ones by the same source."""
        if marks:
            statement = self._database.upsert(MarkRow)
            await self._database.write_all([(statement, [to_columns(m) for m in marks])])

    async def evidence(self, run_ids: Sequence[str]) -> Evidence:
        """Return all that these runs have gathered, in the order of their prompts."""
        async with self._database.session() as session:
            found = []
            for table in (LearningPromptRow, LearningAnswerRow, MarkRow):
                of_runs = select(table).where(table.run_id.in_(run_ids))
                rows = await session.scalars(of_runs.order_by(table.run_id, table.number))
                found.append(list(rows))
        prompts, answers, marks = found
        return Evidence(
            tuple(from_row(LearningPrompt, row) for row in prompts),
            tuple(from_row(LearningAnswer, row) for row in answers),
            tuple(from_row(Mark, row) for row in marks),
        )

    async def answers_to(self, digests: Sequence[str]) -> Mapping[str, Sequence[LearningAnswer]]:
        """Return the answers that earlier runs paid for, by the prompt's digest, oldest first."""
        found: dict[str, list[LearningAnswer]] = defaultdict(list)
        prompt, answer = LearningPromptRow, LearningAnswerRow
        same = (answer.run_id == prompt.run_id) & (answer.number == prompt.number)
        both = select(prompt.digest, answer).join(answer, same)
        paid = both.where(answer.logged.is_(False), answer.error.is_(None))
        async with self._database.session() as session:
            for start in range(0, len(digests), AT_ONCE):
                asked = paid.where(prompt.digest.in_(digests[start : start + AT_ONCE]))
                for digest, row in await session.execute(asked.order_by(answer.created_at)):
                    found[digest].append(from_row(LearningAnswer, row))
        return found

    async def with_marks(self) -> tuple[str, ...]:
        """Return the ids of the runs that have marks, oldest first: they teach together."""
        marked = select(MarkRow.run_id).distinct()
        of_runs = select(LearningRunRow.id).where(LearningRunRow.id.in_(marked))
        async with self._database.session() as session:
            return tuple(await session.scalars(of_runs.order_by(LearningRunRow.created_at)))

    async def _runs(self, statement: Select[Any]) -> tuple[RunRecord, ...]:
        async with self._database.session() as session:
            return tuple(from_row(RunRecord, row) for row in await session.scalars(statement))
