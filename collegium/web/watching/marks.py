"""Process new marks by people and replays, and raise alarms."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from collegium.registry.decisions.records import quality_of
from collegium.registry.learning.alarms import Alarm
from collegium.registry.learning.watching import AT_ONCE, Rated, Replay
from collegium.router.learning.drift import DriftWatch, Loss, Marked, Recovery
from collegium.web.serving.parts import Parts

HISTORY = timedelta(days=30)
"""History of marks that a replica reads at the start, to learn what is usual."""
OVERLAP = timedelta(seconds=30)
"""Rows are read again if they are so young: clocks differ, and transactions take their time."""
REMEMBERED = 100_000
UNMEASURED = 0.5
"""The forecast of an expert that the router knows nothing of: the test learns how far it is off."""
Row = TypeVar("Row", Rated, Replay)


class MarkWatch:
    """Reads marks in the order in which they came. Only the replica that leads has one."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._drift = DriftWatch()
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._since: datetime | None = None
        self._unmeasured: set[str] = set()
        """Experts whose latest mark had no forecast: there is nothing to lower."""

    async def look(self, open_alarms: Sequence[Alarm]) -> None:
        """Read what is new; raise alarms, and close those whose expert has recovered."""
        first = self._since is None
        if self._since is None:
            self._since = datetime.now(UTC) - HISTORY
        drifts = {a.expert: a for a in open_alarms if a.kind == "drift" and a.expert is not None}
        for expert in self._drift.open() - drifts.keys():  # somebody closed its alarm
            self._drift.restart(expert)
        for mark in await self._new_marks():
            found = self._drift.see(mark)
            if first:  # it was told then
                if isinstance(found, Loss):
                    self._drift.restart(found.expert)
            elif isinstance(found, Loss):
                alarm = _alarm(found, measured=found.expert not in self._unmeasured)
                await self._parts.alarms.raise_(alarm)
            elif isinstance(found, Recovery) and found.expert in drifts:
                words = f"recovered, {found.marks} marks after the alarm"
                await self._parts.alarms.close(drifts[found.expert].id, words)
        if first:
            for expert, alarm in drifts.items():
                if alarm.lowered:
                    self._drift.alarmed(expert, alarm.lowered)

    async def _new_marks(self) -> list[Marked]:
        """Return all marks that have not been read yet, in order of arrival."""
        assert self._since is not None
        since, registry = self._since - OVERLAP, self._parts.watching
        rows: list[Rated | Replay] = [
            *await _all(registry.rated, since),
            *await _all(registry.replays, since),
        ]
        rows.sort(key=lambda row: row.created_at)
        new = [row for row in rows if self._is_new(row)]
        if rows:
            self._since = max(self._since, rows[-1].created_at)
        return [self._mark(row) for row in new]

    def _mark(self, row: Rated | Replay) -> Marked:
        if isinstance(row, Replay):
            return Marked(
                row.expert, row.score, row.forecast, "replay", row.digest, row.application
            )
        forecast, stream = quality_of(row.forecasts, row.expert), f"rating {row.router or ''}"
        if forecast is None:
            self._unmeasured.add(row.expert)
            forecast, stream = UNMEASURED, f"{stream} unmeasured"
        else:
            self._unmeasured.discard(row.expert)
        return Marked(
            row.expert,
            row.score,
            forecast,
            stream,
            application=row.application,
            rater=f"caller {row.owner or 'api_key'}",
        )

    def _is_new(self, row: Rated | Replay) -> bool:
        """Whether it was not read before: of the ratings of an answer the first one counts."""
        key = row.decision_id if isinstance(row, Rated) else row.id
        if key in self._seen:
            return False
        self._seen[key] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return True


async def _all(
    read: Callable[[datetime], Awaitable[tuple[Row, ...]]], since: datetime
) -> list[Row]:
    """Read page after page; the last row of a page is also the next one's first."""
    rows: list[Row] = []
    while True:
        page = await read(since)
        rows += page
        if len(page) < AT_ONCE or page[-1].created_at == since:
            return rows
        since = page[-1].created_at


def _alarm(loss: Loss, *, measured: bool) -> Alarm:
    evidence = {
        "loss": round(loss.points, 4),
        "marks": loss.marks,
        "applications": {a or "": round(lost, 4) for a, lost in loss.applications.items()},
    }
    if loss.common:
        return Alarm(
            "marks_changed",
            f"the marks of all experts fell by about {100 * loss.points:.0f} points on the same "
            "prompts, so the marks have changed rather than the experts: look at the checker",
            evidence=evidence,
        )
    if loss.disputed_by is not None:
        return Alarm(
            "drift",
            f"{loss.expert} has lost about {100 * loss.points:.0f} points of quality according to "
            f"{loss.disputed_by or 'the replays'} alone; all others mark it as before. Its "
            "forecasts stay as they are: look at its answers, then close this alarm",
            expert=loss.expert,
            evidence=evidence,
        )
    if not measured:
        return Alarm(
            "drift",
            f"{loss.expert} has lost about {100 * loss.points:.0f} points of quality, about "
            f"{loss.marks} of its marks ago. The router has no forecasts of it that could be "
            "lowered: look at its engine or upstream, or disable it, then close this alarm",
            expert=loss.expert,
            evidence=evidence,
        )
    return Alarm(
        "drift",
        f"{loss.expert} has lost about {100 * loss.points:.0f} points of quality, about "
        f"{loss.marks} of its marks ago. Its forecasts are lowered by that until it recovers: "
        "look at its engine or upstream, then close this alarm, or learn anew",
        expert=loss.expert,
        lowered=loss.points,
        evidence=evidence,
    )
