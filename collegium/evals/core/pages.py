"""Report pages as values, written by `page.html`: no scripts, no external requests."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

TEMPLATE = Path(__file__).with_name("page.html")


@dataclass(frozen=True)
class Table:
    """Rows of words, which end in numbers. Without rows it is not shown."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    marked: Collection[int] = ()
    """Rows that stand out."""
    notes: Mapping[int, str] = field(default_factory=dict)
    """A small line below the first cell, by row."""
    words: int = 1
    """Columns before the numbers."""

    @classmethod
    def of(cls, rows: Sequence[Sequence[str]]) -> Table:
        """Of rows whose first is the head; there may be none at all."""
        return cls(rows[0], rows[1:]) if rows else cls((), ())


@dataclass(frozen=True)
class Tile:
    """One number, large."""

    what: str
    value: str
    note: str = ""
    main: bool = False


@dataclass(frozen=True)
class Card:
    """A section with a title; without content it is not shown."""

    title: str
    text: str = ""
    figures: Sequence[str] = ()
    """SVG elements of `svg.inline_svg`, which stand in the page as they are."""
    tables: Sequence[Table] = ()
    remarks: Sequence[str] = ()
    facts: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        tables = any(table.rows for table in self.tables)
        return bool(self.figures or tables or self.remarks or self.facts)


@dataclass(frozen=True)
class Part:
    """What belongs together, such as all of one data set."""

    heading: str = ""
    verdict: str = ""
    alarms: Sequence[str] = ()
    tiles: Sequence[Tile] = ()
    cards: Sequence[Card] = ()


@dataclass(frozen=True)
class Page:
    """A whole page."""

    title: str
    heading: str
    intro: Sequence[str]
    parts: Sequence[Part]

    def html(self) -> str:
        """Return the page; all words are escaped."""
        from jinja2 import Environment, StrictUndefined
        from markupsafe import Markup

        environment = Environment(
            autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
        )
        environment.filters["svg"] = Markup
        return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(page=self)
