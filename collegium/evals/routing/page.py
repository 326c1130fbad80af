"""A routing report as one self-contained page."""

from __future__ import annotations

from collegium.evals.core.pages import Card, Page, Part, Table, Tile
from collegium.evals.routing import baselines as base
from collegium.evals.routing import text
from collegium.evals.routing.live import LiveReport
from collegium.evals.routing.robustness.text import disturbed_table
from collegium.evals.routing.routing_report import Contender, Kind, RoutingReport, SetReport

CURVES_TEXT = (
    "Each line is the convex hull of what a router gets when forecast quality is traded against "
    "price; the dot on it is the choice that money does not enter."
)
BARS_TEXT = "The number of judged prompts is in brackets; at most twenty tasks are shown."
TILES: tuple[tuple[str, Kind], ...] = (
    (base.TUNED_KNN, "baseline"),
    (base.TASK_TABLE, "baseline"),
    (base.BEST_SINGLE, "baseline"),
    (base.ORACLE, "oracle"),
)


def html_page(report: RoutingReport) -> str:
    """Return the whole page."""
    tables = (text.overview(report), text.mean_table(report), text.peer_means(report))
    overview = Card("All sets", tables=[Table.of(rows) for rows in tables if report.means])
    parts = [_set(report, found, f"set{i}") for i, found in enumerate(report.sets)]
    return _page(report, [Part(cards=[overview]), *parts])


def live_page(report: LiveReport, *further: Card) -> str:
    """Return the page of a live pool; further cards come below."""
    skills = Card("Experts by task", tables=[Table.of(text.skills(report))])
    judged = _set(report.routing, report.routing.sets[0], "set0")
    first = Part(verdict=text.live_verdict(report), cards=[skills])
    return _page(report.routing, [first, judged, Part(cards=further)])


def _page(report: RoutingReport, parts: list[Part]) -> str:
    prompts = sum(found.test_prompts for found in report.sets)
    sets = "1 set" if len(report.sets) == 1 else f"{len(report.sets)} sets"
    left_out = f", each {report.left_out} left out of training" if report.left_out else ""
    intro = (
        f"{sets} of recorded outcomes, {prompts} judged prompts{left_out}; "
        f"measured on {report.provenance.date[:10]}. Differences are points of accuracy "
        "with paired bootstrap 95 % intervals over prompts; a star where zero lies outside."
    )
    last = Part(cards=[Card("Details", facts=_details(report))])
    return Page(
        "Collegium: measured routing", "How good is the routing?", [intro], [*parts, last]
    ).html()


def _set(report: RoutingReport, found: SetReport, name: str) -> Part:
    from collegium.evals.routing.figures import calibration_and_shares, cost_quality, task_bars

    router = found.contender(report.headline, "router")
    curves = [cost_quality(found, router, f"{name}curves")] if router.curve else []
    shares = calibration_and_shares(found, router, f"{name}spread")
    tables = {
        "Differences": text.differences(found),
        "Other projects' routers": text.peer_differences(found),
        "Groups of tasks": text.group_table(found),
        "Paraphrases": text.robustness_table(found),
        "Disturbed prompts": disturbed_table(found.robustness),
    }
    return Part(
        found.name,
        text.verdict(found, router),
        text.alarms(found),
        [_tile(router, main=True), *(_tile(found.contender(*row)) for row in TILES)],
        [
            _ways(found, router),
            *(Card(title, tables=[Table.of(rows)]) for title, rows in tables.items()),
            Card("Cost and quality", CURVES_TEXT, curves),
            Card("Per task", BARS_TEXT, [task_bars(found, router, f"{name}tasks")]),
            Card("Forecasts and choices", figures=[shares]),
        ],
    )


def _tile(row: Contender, *, main: bool = False) -> Tile:
    limits = f"[{100 * row.accuracy.low:.1f}, {100 * row.accuracy.high:.1f}]"
    return Tile(text.label(row), text.percent(row.accuracy.estimate), limits, main)


def _ways(found: SetReport, router: Contender) -> Card:
    head, *rows = text.table(found)
    ordered = text.ordered(found)
    notes = {i: row.note for i, row in enumerate(ordered) if row.note}
    table = Table(head, rows, {ordered.index(router)}, notes)
    remarks = [text.heading(found), *text.remarks(found)]
    return Card("Every way to answer", tables=[table], remarks=remarks)


def _details(report: RoutingReport) -> dict[str, str]:
    made = report.provenance
    return {
        "command": made.command,
        "date": made.date,
        "seed": str(made.seed),
        "encoder": report.encoder,
        "versions": ", ".join(f"{name} {each}" for name, each in made.versions.items()),
    }
