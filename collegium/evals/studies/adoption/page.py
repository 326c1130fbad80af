"""An adoption report as one self-contained page."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

from collegium.evals.core.pages import Card, Page, Part, Table, Tile
from collegium.evals.studies.adoption import figures
from collegium.evals.studies.adoption.draws import APPLICATIONS, TRUE_TASKS
from collegium.evals.studies.adoption.rows import CURVE, Row
from collegium.evals.studies.adoption.text import cells, name, references

BALANCED = "balanced"
PLAYED = {"curve", "application_losses"}
"""What only rows of whole worlds have."""
TABLE = (
    *("World", "Replays", "Policy", "Accuracy", "Against best"),
    *("$/1k", "Saved", "Of table", "Violations"),
)
GAINS = ("full_gain", "gain", "unmarked_change")
CURVES_TEXT = (
    "Each line is the mean over draws of the accuracy and the money of one trade-off after "
    "another; its band is one standard deviation of the draws to each side. The dashed line is a "
    "table of rates that learnt from the same marks as the darkest line."
)
CALIBRATION_TEXT = (
    "Forecasts of all experts for held-back requests, in ten bins of equal mass; honest ones "
    "lie on the dashed line. ECE is the mean distance from it."
)
LOSSES_TEXT = (
    "Accuracy that collegium/balanced gives up in each application, on average "
    "over draws. Shown are those that lose most after the largest number of replays."
)
ERRANT_TEXT = "Marks that are wrong in known ways teach the router; the accuracy is the true one."
UNSEEN_TEXT = (
    "A family of tasks that no mark is of is judged alone, against the expert that is best on "
    "the marks. Coverage is how often the mean of a task lies in its forecast's 90 % interval."
)
NEWCOMERS_TEXT = (
    "Each expert joins the seven others, with 50 marks of its own; gains are points of "
    "accuracy of auto against the seven."
)


def html_page(rows: Sequence[Row], same: bool | None) -> str:
    """Return the whole page.

    `same` is whether a service decided as the evaluation did; None if nobody asked one.
    """
    worlds = _worlds(rows)
    cards = [_trade_offs(world, number) for number, world in enumerate(worlds)]
    if worlds:
        cards += [_calibration(worlds[0]), _losses(worlds[0])]
    cards += [
        _errant(rows),
        _unseen(rows),
        _newcomers(rows),
        Card("All rows", tables=[_table(rows)]),
    ]
    intro = [f"{words}." for words in references(rows)]
    if same:
        intro.append("A service decided as the evaluation did, request by request.")
    differs = Part(alarms=["A service decided otherwise than the evaluation did."])
    parts = [
        *([differs] if same is False else []),
        Part(verdict=_verdict(worlds[0]), tiles=_tiles(worlds[0]), cards=cards)
        if worlds
        else Part(cards=cards),
    ]
    heading = "What is a router worth, mark by mark?"
    return Page("Collegium: adoption of a router", heading, intro, parts).html()


def _worlds(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows of each world that is played with right in the order of the worlds."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row.labels == "reference" and PLAYED & row.further.keys():
            found.setdefault(name(row), []).append(row)
    return list(found.values())


def _of(rows: Sequence[Row], policy: str) -> list[Row]:
    return sorted((row for row in rows if row.policy == policy), key=lambda row: row.replays)


def _verdict(world: Sequence[Row]) -> str:
    return f"Money saved at most one point below the best single expert ({name(world[0])})"


def _tiles(world: Sequence[Row]) -> list[Tile]:
    return [
        Tile(
            f"{row.replays:,} replays",
            f"{row.saved:.0%}",
            f"saved [{row.saved_interval[0]:.0%}, {row.saved_interval[1]:.0%}]",
        )
        for row in _of(world, CURVE)
        if row.replays
    ]


def _trade_offs(world: Sequence[Row], number: int) -> Card:
    curves = _of(world, CURVE)
    tables = _of(world, APPLICATIONS) or _of(world, TRUE_TASKS)
    drawn = figures.trade_offs(curves, tables[-1] if tables else None, f"curves{number}")
    text = CURVES_TEXT if number == 0 else ""
    return Card(f"Accuracy and money: {name(curves[0])}", text, [drawn])


def _calibration(world: Sequence[Row]) -> Card:
    drawn = figures.calibration(_of(world, CURVE), "calibration")
    return Card("Forecasts", CALIBRATION_TEXT, [drawn] if drawn else [])


def _losses(world: Sequence[Row]) -> Card:
    return Card(
        "Loss by application", LOSSES_TEXT, [figures.losses(_of(world, BALANCED), "losses")]
    )


def _errant(rows: Sequence[Row]) -> Card:
    """Rows with marks that err, beside those with right marks of the same number."""
    errant = [row for row in rows if row.labels != "reference"]
    beside = {(name(row), row.replays) for row in errant}
    shown = [
        row
        for row in rows
        if (name(row), row.replays) in beside and row.policy in (CURVE, BALANCED)
    ]
    return Card("Marks that err", ERRANT_TEXT, tables=[_table(shown)])


def _unseen(rows: Sequence[Row]) -> Card:
    head = ("Family", "Applications", "Accuracy", "Against best", "$/1k", "Saved", "Coverage")
    lines = [
        (
            row.world.removeprefix("unseen "),
            "new" if row.applications else "not visible",
            f"{row.accuracy:.3f}",
            f"{100 * (row.accuracy - row.best_single_accuracy):+.2f}",
            f"{row.usd_per_1k:.2f}",
            f"{row.saved:.0%}",
            f"{row.further['coverage_90']:.0%}",
        )
        for row in rows
        if "coverage_90" in row.further
    ]
    return Card("Unseen families", UNSEEN_TEXT, tables=[Table(head, lines)])


def _newcomers(rows: Sequence[Row]) -> Card:
    head = ("Newcomer", "All marks", "50 marks", "No marks", "$/1k", "Before, $/1k")
    found = [row for row in rows if "full_gain" in row.further]
    lines = [
        (
            row.world.removeprefix("newcomer "),
            *(f"{row.further[key]:+.2f}" for key in GAINS),
            f"{row.usd_per_1k:.2f}",
            f"{row.best_single_usd_per_1k:.2f}",
        )
        for row in found
    ]
    if found:
        means = [f"{mean(row.further[key] for row in found):+.2f}" for key in GAINS]
        lines.append(("mean", *means, "", ""))
    return Card("Newcomers", NEWCOMERS_TEXT, tables=[Table(head, lines, {len(found)})])


def _table(rows: Sequence[Row]) -> Table:
    """Rows as the command prints them, in fewer columns; those of the curve stand out."""
    curves = {i for i, row in enumerate(rows) if row.policy == CURVE}
    return Table(TABLE, [_line(row) for row in rows], curves)


def _line(row: Row) -> tuple[str, ...]:
    world, replays, marks, policy, *numbers, saved, interval, share, violations = cells(row)
    first = world if marks == "reference" else f"{world}, {_words(marks)}"
    saving = f"{saved} {interval}".strip()
    return first, replays, _words(policy), *numbers, saving, share, violations


def _words(key: str) -> str:
    return key.replace("_", " ")
