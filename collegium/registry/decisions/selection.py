"""Selects decisions: for listing, deletion and learning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, literal, select, union_all
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from collegium.registry.storage.pages import Dated, Order, Scope, after_cursor
from collegium.registry.tables import DecisionRow, OutcomeRow

State = Literal["open", "ok", "error", "cancelled"]
LONGEST = timedelta(hours=1)
"""No answer takes longer, so a decision that is still open was made within this time."""
LATEST_END = timedelta(days=8)
"""An answer that a kill interrupted is marked as ended within 7 days; others end within an hour."""
MOST_APART = 200
"""Owners whose decisions are looked up one by one; SQLite takes 500 selects in one statement."""


@dataclass(frozen=True)
class Selection:
    """Conditions that all have to hold; an empty selection means all decisions."""

    decision_id: str | None = None
    owner: str | None = None
    scope: Scope = None
    """The owners whose decisions may be meant at all."""
    application: str | None = None
    session: str | None = None
    expert: str | None = None
    """The chosen expert."""
    status: State | None = None
    since: datetime | None = None
    before: datetime | None = None

    @property
    def visible(self) -> Scope:
        """The owners of the decisions that may be meant."""
        return self.scope if self.owner is None else frozenset({self.owner})

    @property
    def is_of_several(self) -> bool:
        """Whether the decisions of some owners are meant, and no narrower choice among them."""
        several = self.scope is not None and 1 < len(self.scope) <= MOST_APART
        narrower = (self.decision_id, self.owner, self.application, self.session, self.expert)
        return several and self.status is None and narrower == (None,) * 5

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the SQL conditions."""
        owner, scope = self.owner, self.scope
        if scope is not None and len(scope) == 1 and owner is None:
            (owner,), scope = scope, None
        application, expert, whose = self._columns()
        narrowest_first = (
            (DecisionRow.id, self.decision_id),
            (DecisionRow.session, self.session),
            (application, self.application),
            (expert, self.expert),
            (whose, owner),
        )
        given: list[tuple[Any, Any]] = [
            (column, value) for column, value in narrowest_first if value is not None
        ]
        found: list[ColumnElement[bool]] = [
            (Unindexed(column) if place else column) == value
            for place, (column, value) in enumerate(given)
        ]
        if scope is not None:  # failures come sorted by the index of their status alone
            found.append((Unindexed(whose) if self.by_end else whose).in_(sorted(scope)))
        if self.since is not None:
            found.append(DecisionRow.created_at >= self.since)
        if self.before is not None:
            found.append(DecisionRow.created_at < self.before)
        if self.status == "open":
            found.append(DecisionRow.created_at >= datetime.now(UTC) - LONGEST)
            found.append(~DecisionRow.outcome.has())
        elif self.status is not None:
            found.append(self._failed() if self.by_end else _answered())
        return [*found, *self._ends()] if self.by_end else found

    def _ends(self) -> Iterator[ColumnElement[bool]]:
        """When these ended, roughly: the index that sorts failures need not be read beyond that."""
        if self.since is not None:
            yield OutcomeRow.finished_at >= _moved(self.since, -LONGEST)
        if self.before is not None:
            yield OutcomeRow.finished_at < _moved(self.before, LATEST_END)

    def _columns(self) -> tuple[Any, Any, Any]:
        """The application, expert and owner; of failures, where their outcomes have copies."""
        if self.by_end:
            return OutcomeRow.failed_application, OutcomeRow.failed_expert, OutcomeRow.failed_owner
        return DecisionRow.application, DecisionRow.expert, DecisionRow.owner

    def _failed(self) -> ColumnElement[bool]:
        few = self.session is None and self.decision_id is None
        return (OutcomeRow.status if few else Unindexed(OutcomeRow.status)) == self.status

    @property
    def by_end(self) -> bool:
        """Whether these are few among many: found, and sorted, by the end of their answers."""
        return self.status in ("error", "cancelled")


def _moved(moment: datetime, by: timedelta) -> datetime:
    """A moment moved within what a database can compare."""
    try:
        return moment + by
    except OverflowError:
        return moment


def _answered() -> ColumnElement[bool]:
    """Nearly all are: looked at one after the other.

    Of an owner, application or expert that nearly always fails this takes long: with 30,000
    decisions of one owner, 0.5 s. Indexes as failures have answer in 1 ms, but to write a decision
    with its outcome took SQLite 0.14 ms instead of 0.10, and its file was a tenth larger.
    """
    return DecisionRow.outcome.has(OutcomeRow.status == "ok")


def nearest(
    selection: Selection, after: Dated | None, limit: int, order: Order
) -> Select[tuple[str]]:
    """The ids of each owner's first decisions after the cursor, read by the index of owners.

    A page of all of them together is among these. With a million decisions, half of them of five
    owners, SQLite took 1.5 s to sort all that these have, and takes 5 ms so.
    """
    columns = (DecisionRow.created_at, DecisionRow.id)
    sorted_by = [column.asc() if order == "asc" else column.desc() for column in columns]
    parts = []
    for owner in sorted(selection.scope or ()):
        conditions = replace(selection, owner=owner, scope=None).conditions()
        if after is not None:
            conditions.append(after_cursor(DecisionRow, after, order))
        each = select(DecisionRow.id).where(*conditions).order_by(*sorted_by).limit(limit)
        parts.append(select(each.subquery().c.id))
    return select(union_all(*parts).subquery().c.id)


def latest_of(owner: str, sessions: Sequence[str]) -> Select[tuple[int, str | None]]:
    """The place of each of an owner's sessions in the list, and the id of its latest decision."""
    named = [
        select(literal(place).label("place"), literal(name, DecisionRow.session.type).label("name"))
        for place, name in enumerate(sessions)
    ]
    each = union_all(*named).subquery()
    newest = DecisionRow.created_at.desc(), DecisionRow.id.desc()
    own = DecisionRow.session == each.c.name, Unindexed(DecisionRow.owner) == owner
    latest = select(DecisionRow.id).where(*own).order_by(*newest).limit(1).scalar_subquery()
    return select(each.c.place, latest).select_from(each)


class Unindexed(FunctionElement[Any]):
    """The column itself; on SQLite in a call, which no index serves.

    SQLite does not know how values are spread and may choose the wider of two indexes. PostgreSQL
    knows, but of a call it assumes that one row of 200 fits: it read all 50,000 cancelled decisions
    of a million to find the few of a key with 1,000 decisions, in 746 ms instead of 19.
    """

    name = "unindexed"
    inherit_cache = True

    def __init__(self, column: Any) -> None:
        super().__init__(column)
        self.type = column.type


@compiles(Unindexed)
def _itself(element: Unindexed, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


@compiles(Unindexed, "sqlite")
def _in_a_call(element: Unindexed, compiler: SQLCompiler, **options: Any) -> str:
    return f"coalesce({compiler.process(element.clauses, **options)}, '')"
