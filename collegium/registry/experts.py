"""The registered experts, and a revision by which the service notices changes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from collegium.errors import ExpertExists, ExpertNotFound, RegistryError
from collegium.extensions import extensions
from collegium.registry import capabilities, labels, prices
from collegium.registry.expert import Expert
from collegium.registry.presets import all_resolved, problem_of, resolved
from collegium.registry.prices import changed
from collegium.registry.storage.database import Database
from collegium.registry.tables import ExpertRow, RevisionRow, SeedRow, from_row, to_columns

_REVISION = str(select(RevisionRow.number))
MOST_PRICE, MOST_PARAMETERS_B, MOST_CONTEXT = 1e6, 1e6, 2**31 - 1
"""Dollars per million tokens, billions, tokens: sums of the products of larger ones overflow."""
MOST_LABELS, LONGEST_TEXT = 1000, 10_000
_FIXED = {"name", "version"}
_CHANGEABLE = {f.name for f in fields(Expert)} - _FIXED


class ExpertRegistry:
    """The experts by name; each change bumps one revision, in the change's own transaction."""

    def __init__(self, database: Database) -> None:
        self.database = self._database = database

    async def list(self) -> tuple[Expert, ...]:
        """Return all experts, sorted by name."""
        async with self._database.session() as session:
            rows = await session.scalars(select(ExpertRow))
            # Sorted here, for PostgreSQL's order depends on the server's language.
            found = sorted((from_row(Expert, row) for row in rows), key=lambda e: e.name)
            return all_resolved(found)

    async def get(self, name: str) -> Expert:
        """Return the expert of this name."""
        async with self._database.session() as session:
            return await _used(session, from_row(Expert, await _row(session, name)))

    async def register(self, expert: Expert) -> None:
        """Register a new expert."""
        check(expert)
        _check_kind(expert)
        async with self._database.transaction() as session:
            await _bump(session)
            if await session.get(ExpertRow, expert.name) is not None:
                raise ExpertExists(
                    f"expert '{expert.name}' already exists: update it, or remove it first"
                )
            if expert.preset is not None:
                await _row(session, expert.origin)
            session.add(ExpertRow(**to_columns(expert)))

    async def update(self, name: str, /, **changes: Any) -> Expert:
        """Change an expert's fields and return its next version.

        Only the given `prices` are changed; None removes a price.
        """
        _check_names(changes)
        async with self._database.transaction() as session:
            await _bump(session)
            row = await _row(session, name)
            before = from_row(Expert, row)
            if "prices" in changes:
                changes["prices"] = changed(before.prices, changes["prices"])
            after = replace(before, **changes, version=before.version + 1)
            check(after)
            if after.kind != before.kind:
                _check_kind(after)
            for column, value in to_columns(after).items():
                setattr(row, column, value)
            return await _used(session, after)

    async def remove(self, name: str, *, with_presets: bool = False) -> None:
        """Remove an expert; its decisions and answers stay in the log.

        One that presets are made of is not removed, unless they are to go as well.
        """
        async with self._database.transaction() as session:
            await _bump(session)
            row = await _row(session, name)
            presets = [r for r in await session.scalars(select(ExpertRow)) if _is_of(r, name)]
            if presets and not with_presets:
                names = ", ".join(sorted(preset.name for preset in presets))
                raise RegistryError(
                    f"expert '{name}' is the base of the presets {names}: remove those first, or "
                    "all together with --with-presets"
                )
            for gone in (row, *presets):
                await session.delete(gone)

    async def seed(self, source: str, experts: Iterable[Expert]) -> bool:
        """Register a source's experts once ever, and say whether that was now.

        So an expert that a person removed stays removed, and one that a person had registered
        under the same name stays theirs.
        """
        experts = tuple(experts)
        for expert in experts:
            check(expert)
            _check_kind(expert)
        first_time = (
            self._database.insert(SeedRow)
            .values(source=source, seeded_at=datetime.now(UTC))
            .on_conflict_do_nothing()
            .returning(SeedRow.source)
        )
        async with self._database.transaction() as session:
            if await session.scalar(first_time) is None:
                return False
            await _bump(session)
            taken = set(await session.scalars(select(ExpertRow.name)))
            new = (expert for expert in experts if expert.name not in taken)
            session.add_all(ExpertRow(**to_columns(expert)) for expert in new)
            return True

    async def revision(self) -> int:
        """Return a number that grows with every change, so that copies know when they are stale."""
        return await self._database.number(_REVISION)


def check(expert: Expert) -> None:
    """Raise RegistryError if a field of the expert is invalid."""
    stated = [p for p in (expert.input_price, expert.output_price) if p is not None]
    size = expert.parameters_b
    problems = {
        "a name is printable text without spaces": not expert.name
        or not expert.name.isprintable()
        or " " in expert.name,
        "a skill's level is between 0 and 1": not all(
            0 <= level <= 1 for level in expert.skills.values()
        ),
        f"a price is a number of dollars from 0 to {MOST_PRICE:g}": not all(
            0 <= price <= MOST_PRICE for price in stated
        ),
        f"a context window is 1 to {MOST_CONTEXT}": not 1 <= expert.context_window <= MOST_CONTEXT,
        "a tag is printable text without spaces and commas": not all(map(_is_tag, expert.tags)),
        "a prior is between 0 and 1": expert.prior is not None and not 0 <= expert.prior <= 1,
        f"a size is a number of billions above 0, at most {MOST_PARAMETERS_B:g}": size is not None
        and not 0 < size <= MOST_PARAMETERS_B,
        f"there are at most {MOST_LABELS} skills and tags": len(expert.skills) > MOST_LABELS
        or len(expert.tags) > MOST_LABELS,
        f"a text has at most {LONGEST_TEXT} characters, all of them Unicode": not all(
            len(text) <= LONGEST_TEXT and _is_unicode(text) for text in _texts(expert)
        ),
    }
    wrong = [rule for rule, broken in problems.items() if broken]
    if expert.preset is not None and (problem := problem_of(expert.preset)):
        wrong.append(problem)
    if problem := prices.problem_of(expert.prices, MOST_PRICE):
        wrong.append(problem)
    if problem := capabilities.problem_of(expert.capabilities):
        wrong.append(problem)
    if problem := labels.problem_of(expert.labels):
        wrong.append(problem)
    if wrong:
        raise RegistryError(f"expert '{expert.name}': {'; '.join(wrong)}")


def _check_kind(expert: Expert) -> None:
    """Check the kind of new experts only: experts can be edited after its kind was uninstalled."""
    if expert.kind not in extensions().names("expert"):
        known = extensions().offered("expert")
        words = f"'{expert.kind}' is not a kind of expert; available: {known}"
        raise RegistryError(f"expert '{expert.name}': {words}")


def _texts(expert: Expert) -> Iterable[str]:
    own = (getattr(expert, f.name) for f in fields(expert))
    return [*(text for text in own if isinstance(text, str)), *expert.skills, *expert.tags]


def _is_unicode(text: str) -> bool:
    """Whether the text can be encoded as UTF-8; an unpaired surrogate cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_tag(text: str) -> bool:
    return bool(text) and text.isprintable() and not set(text) & {" ", ","}


def _check_names(changes: dict[str, Any]) -> None:
    if fixed := sorted(_FIXED & changes.keys()):
        raise RegistryError(f"an expert's {' and '.join(fixed)} can't be changed")
    if unknown := sorted(changes.keys() - _CHANGEABLE):
        raise RegistryError(
            f"an expert has no {', '.join(unknown)}; it has {', '.join(sorted(_CHANGEABLE))}"
        )


def _is_of(row: ExpertRow, base: str) -> bool:
    return row.preset is not None and row.preset["base"] == base


async def _used(session: AsyncSession, expert: Expert) -> Expert:
    """An expert as it is used: a preset with what its base is now."""
    if expert.preset is None:
        return expert
    base = await session.get(ExpertRow, expert.origin)
    return resolved(expert, None if base is None else from_row(Expert, base))


async def _bump(session: AsyncSession) -> None:
    """Take the next revision; until the transaction ends all other changes wait for it."""
    await session.execute(update(RevisionRow).values(number=RevisionRow.number + 1))


async def _row(session: AsyncSession, name: str) -> ExpertRow:
    row = await session.get(ExpertRow, name)
    if row is not None:
        return row
    names = sorted(await session.scalars(select(ExpertRow.name)))
    close = get_close_matches(name, names)
    hint = (
        f"did you mean {' or '.join(close)}?"
        if close
        else f"registered: {', '.join(names) or 'none'}"
    )
    raise ExpertNotFound(f"there is no expert '{name}'; {hint}")
