"""An adoption report for people: one self-contained page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from statistics import mean

from collegium.evals.adoption import figures
from collegium.evals.adoption.draws import APPLICATIONS, TRUE_TASKS
from collegium.evals.adoption.rows import CURVE, Row
from collegium.evals.adoption.text import cells, name, references
from collegium.evals.report_parts import document, figure, html_table, line, section

BALANCED = "balanced"
PLAYED = {"curve", "application_losses"}
"""What only rows of whole worlds have."""
TABLE = (
    *("World", "Replays", "Policy", "Accuracy", "Against best"),
    *("$/1k", "Saved", "Of table", "Violations"),
)
GAINS = ("full_gain", "gain", "unmarked_change")
CURVES_TEXT = (
    "<p>Each line is the mean over draws of the accuracy and the money of one trade-off after "
    "another; its band is one standard deviation of the draws to each side. The dashed line is a "
    "table of rates that learnt from the same marks as the darkest line.</p>"
)
CALIBRATION_TEXT = (
    "<p>Forecasts of all experts for held-back requests, in ten bins of equal mass; honest ones "
    "lie on the dashed line. ECE is the mean distance from it.</p>"
)
LOSSES_TEXT = (
    "<p>Accuracy that <code>collegium/balanced</code> gives up in each application, on average "
    "over draws. Shown are those that lose most after the largest number of replays.</p>"
)
ERRANT_TEXT = (
    "<p>Marks that are wrong in known ways teach the router; the accuracy is the true one.</p>"
)
UNSEEN_TEXT = (
    "<p>A family of tasks that no mark is of is judged alone, against the expert that is best on "
    "the marks. Coverage is how often the mean of a task lies in its forecast's 90 % interval.</p>"
)
NEWCOMERS_TEXT = (
    "<p>Each expert joins the seven others, with 50 marks of its own; gains are points of "
    "accuracy of <code>auto</code> against the seven.</p>"
)


def html_page(rows: Sequence[Row], same: bool | None) -> str:
    """Return the whole page: no script, no request to anywhere.

    `same` is whether a service decided as the evaluation did; None where nobody asked one.
    """
    worlds = _worlds(rows)
    body = [_header(rows, same)]
    if worlds:
        body.append(_tiles(worlds[0]))
    for number, world in enumerate(worlds):
        body.append(_trade_offs(world, number))
    if worlds:
        body += [_calibration(worlds[0]), _losses(worlds[0])]
    body += [_errant(rows), _unseen(rows), _newcomers(rows)]
    body.append(section("All rows", _table(rows)))
    return document("Collegium: adoption of a router", body)


def _worlds(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows of each world that is played with right in the order of the worlds."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row.labels == "reference" and PLAYED & row.further.keys():
            found.setdefault(name(row), []).append(row)
    return list(found.values())


def _of(rows: Sequence[Row], policy: str) -> list[Row]:
    return sorted((row for row in rows if row.policy == policy), key=lambda row: row.replays)


def _header(rows: Sequence[Row], same: bool | None) -> str:
    lines = "".join(f"<p>{escape(text)}.</p>\n" for text in references(rows))
    served = {
        None: "",
        True: "<p>A service decided as the evaluation did, request by request.</p>\n",
        False: '<p class="alarm">A service decided otherwise than the evaluation did.</p>\n',
    }[same]
    return f"<header>\n<h1>What is a router worth, mark by mark?</h1>\n{lines}{served}</header>\n"


def _tiles(world: Sequence[Row]) -> str:
    curves = [row for row in _of(world, CURVE) if row.replays]
    found = (
        f'<div class="tile"><span class="what">{row.replays:,} replays</span>'
        f"<b>{row.saved:.0%}</b>"
        f"<span>saved [{row.saved_interval[0]:.0%}, {row.saved_interval[1]:.0%}]</span></div>"
        for row in curves
    )
    verdict = "Money saved at most one point below the best single expert"
    return (
        f'<p class="verdict">{verdict} ({escape(name(world[0]))})</p>\n'
        f'<div class="tiles">{"".join(found)}</div>\n'
    )


def _trade_offs(world: Sequence[Row], number: int) -> str:
    curves = _of(world, CURVE)
    tables = _of(world, APPLICATIONS) or _of(world, TRUE_TASKS)
    drawn = figures.trade_offs(curves, tables[-1] if tables else None, f"curves{number}")
    text = CURVES_TEXT if number == 0 else ""
    return section(f"Accuracy and money: {name(curves[0])}", text + figure(drawn))


def _calibration(world: Sequence[Row]) -> str:
    drawn = figures.calibration(_of(world, CURVE), "calibration")
    return section("Forecasts", CALIBRATION_TEXT + figure(drawn) if drawn else "")


def _losses(world: Sequence[Row]) -> str:
    drawn = figures.losses(_of(world, BALANCED), "losses")
    return section("Loss by application", LOSSES_TEXT + figure(drawn))


def _errant(rows: Sequence[Row]) -> str:
    """Rows with marks that err, beside those with right marks of the same number."""
    errant = [row for row in rows if row.labels != "reference"]
    beside = {(name(row), row.replays) for row in errant}
    shown = [
        row
        for row in rows
        if (name(row), row.replays) in beside and row.policy in (CURVE, BALANCED)
    ]
    return section("Marks that err", ERRANT_TEXT + _table(shown) if errant else "")


def _unseen(rows: Sequence[Row]) -> str:
    head = ("Family", "Applications", "Accuracy", "Against best", "$/1k", "Saved", "Coverage")
    lines = [
        line(
            (
                row.world.removeprefix("unseen "),
                "new" if row.applications else "not visible",
                f"{row.accuracy:.3f}",
                f"{100 * (row.accuracy - row.best_single_accuracy):+.2f}",
                f"{row.usd_per_1k:.2f}",
                f"{row.saved:.0%}",
                f"{row.further['coverage_90']:.0%}",
            )
        )
        for row in rows
        if "coverage_90" in row.further
    ]
    return section("Unseen families", UNSEEN_TEXT + html_table(head, lines) if lines else "")


def _newcomers(rows: Sequence[Row]) -> str:
    head = ("Newcomer", "All marks", "50 marks", "No marks", "$/1k", "Before, $/1k")
    found = [row for row in rows if "full_gain" in row.further]
    lines = list(_newcomer_lines(found))
    return section("Newcomers", NEWCOMERS_TEXT + html_table(head, lines) if lines else "")


def _newcomer_lines(rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        gains = [f"{row.further[key]:+.2f}" for key in GAINS]
        money = (f"{row.usd_per_1k:.2f}", f"{row.best_single_usd_per_1k:.2f}")
        yield line((row.world.removeprefix("newcomer "), *gains, *money))
    if rows:
        means = [f"{mean(row.further[key] for row in rows):+.2f}" for key in GAINS]
        yield line(("mean", *means, "", "")).replace("<tr>", '<tr class="router">', 1)


def _table(rows: Sequence[Row]) -> str:
    return html_table(TABLE, [_line(row) for row in rows])


def _line(row: Row) -> str:
    """A row as the command prints it, in fewer columns; those of the curve stand out."""
    world, replays, marks, policy, *numbers, saved, interval, share, violations = cells(row)
    first = world if marks == "reference" else f"{world}, {_words(marks)}"
    saving = f"{saved} {interval}".strip()
    plain = line((first, replays, _words(policy), *numbers, saving, share, violations))
    return plain.replace("<tr>", '<tr class="router">', 1) if row.policy == CURVE else plain


def _words(key: str) -> str:
    return key.replace("_", " ")
