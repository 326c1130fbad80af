"""A routing report for people: one self-contained page."""

from collections.abc import Sequence
from html import escape

from collegium.evals.report_parts import document, figure, html_table, line, section
from collegium.evals.report_text import percent
from collegium.evals.routing import baselines as base
from collegium.evals.routing import text
from collegium.evals.routing.routing_report import Contender, RoutingReport, SetReport

CURVES_TEXT = (
    "<p>Each line is the convex hull of what a router gets when forecast quality is traded against "
    "price; the dot on it is the choice that money does not enter.</p>"
)
BARS_TEXT = "<p>The number of judged prompts is in brackets; at most twenty tasks are shown.</p>"


def html_page(report: RoutingReport) -> str:
    """Return the whole page: no script, no request to anywhere."""
    body = [_header(report), _overview(report)]
    for index, found in enumerate(report.sets):
        body.append(_set(report, found, f"set{index}"))
    body.append(section("Details", _details(report)))
    return document("Collegium: measured routing", body)


def _header(report: RoutingReport) -> str:
    prompts = sum(found.test_prompts for found in report.sets)
    sets = "1 set" if len(report.sets) == 1 else f"{len(report.sets)} sets"
    left_out = f", each {report.left_out} left out of training" if report.left_out else ""
    return (
        "<header>\n<h1>How good is the routing?</h1>\n"
        f"<p>{sets} of recorded outcomes, {prompts} judged prompts{left_out}; "
        f"measured on {escape(report.provenance.date[:10])}. Differences are points of accuracy "
        "with paired bootstrap 95 % intervals over prompts; a star where zero lies outside.</p>\n"
        "</header>\n"
    )


def _overview(report: RoutingReport) -> str:
    tables = (text.overview(report), text.mean_table(report), text.peer_means(report))
    return section("All sets", "\n".join(map(_table, tables)) if report.means else "")


def _set(report: RoutingReport, found: SetReport, name: str) -> str:
    from collegium.evals.routing.figures import calibration_and_shares, cost_quality, task_bars

    router = found.contender(report.headline, "router")
    curves = CURVES_TEXT + figure(cost_quality(found, router, f"{name}curves"))
    parts = [
        f'<h1 class="set">{escape(found.name)}</h1>\n',
        f'<p class="verdict">{escape(text.verdict(found, router))}</p>\n',
        *(f'<p class="alarm">{escape(alarm)}</p>\n' for alarm in text.alarms(found)),
        _tiles(found, router),
        section("Every way to answer", _main_table(found, router) + _remarks(found)),
        section("Differences", _table(text.differences(found))),
        section("Other projects' routers", _table(text.peer_differences(found))),
        section("Groups of tasks", _table(text.group_table(found))),
        section("Paraphrases", _table(text.robustness_table(found))),
        section("Cost and quality", curves if router.curve else ""),
        section("Per task", BARS_TEXT + figure(task_bars(found, router, f"{name}tasks"))),
        section(
            "Forecasts and choices",
            figure(calibration_and_shares(found, router, f"{name}spread")),
        ),
    ]
    return "".join(parts)


def _tiles(found: SetReport, router: Contender) -> str:
    rows = [
        ("tile main", router),
        ("tile", found.contender(base.TUNED_KNN, "baseline")),
        ("tile", found.contender(base.TASK_TABLE, "baseline")),
        ("tile", found.contender(base.BEST_SINGLE, "baseline")),
        ("tile", found.contender(base.ORACLE, "oracle")),
    ]
    cells = (
        f'<div class="{css}"><span class="what">{escape(text.label(row))}</span>'
        f"<b>{escape(percent(row.accuracy.estimate))}</b>"
        f"<span>[{100 * row.accuracy.low:.1f}, {100 * row.accuracy.high:.1f}]</span></div>"
        for css, row in rows
    )
    return f'<div class="tiles">{"".join(cells)}</div>\n'


def _main_table(found: SetReport, router: Contender) -> str:
    head, *rows = text.table(found)
    lines = []
    for row, cells in zip(text.ordered(found), rows, strict=True):
        marked = (row.name, row.kind) == (router.name, router.kind)
        css = '<tr class="router">' if marked else "<tr>"
        note = f"<small>{escape(row.note)}</small></th>" if row.note else "</th>"
        lines.append(line(cells).replace("<tr>", css, 1).replace("</th>", note, 1))
    return html_table(head, lines)


def _remarks(found: SetReport) -> str:
    items = [text.heading(found), *text.remarks(found)]
    return f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>"


def _table(rows: Sequence[Sequence[str]]) -> str:
    return html_table(rows[0], [line(row) for row in rows[1:]]) if rows else ""


def _details(report: RoutingReport) -> str:
    made = report.provenance
    facts = {
        "command": f"<code>{escape(made.command)}</code>",
        "date": escape(made.date),
        "seed": str(made.seed),
        "encoder": escape(report.encoder),
        "versions": escape(", ".join(f"{name} {each}" for name, each in made.versions.items())),
    }
    return f"<dl>{''.join(f'<dt>{name}</dt><dd>{fact}</dd>' for name, fact in facts.items())}</dl>"
