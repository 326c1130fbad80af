"""Delete what learning runs keep of prompts: texts, answers, marks, and quotes in reports."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from collegium.registry.storage.database import Database
from collegium.registry.tables import (
    LearningAnswerRow,
    LearningPromptRow,
    LearningRunRow,
    MarkRow,
    RouterVersionRow,
)

QUOTED = 200
"""Characters of a prompt that a report quotes."""
AT_ONCE = 50
"""Reports whose quotes are read together."""


async def forget_prompts(database: Database, decision_ids: Sequence[str]) -> None:
    """Delete what runs took from some hundreds of decisions."""
    prompt = LearningPromptRow
    taken = select(prompt.run_id, prompt.number, prompt.text)
    async with database.session() as session:
        rows: Any = await session.execute(taken.where(prompt.decision_id.in_(decision_ids)))
        found = [tuple(row) for row in rows]
    if not found:
        return
    numbers = defaultdict(list)
    for run, number, _ in found:
        numbers[run].append(number)
    async with database.transaction() as session:
        for run, those in numbers.items():
            for table in (LearningPromptRow, LearningAnswerRow, MarkRow):
                these = (table.run_id == run) & table.number.in_(those)
                await session.execute(delete(table).where(these))
        await unquote(session, {text for _, _, text in found})


async def unquote(session: AsyncSession, texts: Collection[str]) -> None:
    """Take prompts out of the reports that quote them, of any run: fits learn from all runs.

    Of other reports only the quotes are read, a few at a time: whole reports may be megabytes.
    """
    beginnings = {text[:QUOTED] for text in texts}
    for table in (LearningRunRow, RouterVersionRow):
        for name in [name async for name in _quoting(session, table, beginnings)]:
            report = await session.scalar(select(table.report).where(table.id == name))
            if report:
                left = _without(report, beginnings)
                await session.execute(update(table).where(table.id == name).values(report=left))


async def _quoting(
    session: AsyncSession,
    table: type[LearningRunRow] | type[RouterVersionRow],
    beginnings: Collection[str],
) -> AsyncIterator[str]:
    """The ids of the rows whose reports quote one of these."""
    quotes = select(table.id, table.report["worst"]).where(table.report.is_not(None))
    last = ""
    while rows := list(
        await session.execute(quotes.where(table.id > last).order_by(table.id).limit(AT_ONCE))
    ):
        for name, worst in rows:
            if any(row.get("prompt") in beginnings for row in worst or []):
                yield name
        last = rows[-1][0]


def _without(report: Mapping[str, Any], beginnings: Collection[str]) -> Mapping[str, Any]:
    worst = report.get("worst") or []
    left = [row for row in worst if row.get("prompt") not in beginnings]
    return report if len(left) == len(worst) else {**report, "worst": left}
