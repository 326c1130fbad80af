"""A pool's report for people: one self-contained page."""

from html import escape

from collegium.evals.pool_report import ROUTER, PoolReport, Row
from collegium.evals.report_parts import document, figure, html_table, line, section
from collegium.evals.report_text import (
    limits,
    ordered_rows,
    percent,
    points,
    specialist_cells,
    verdict,
)

INTERVALS = {
    "gap_closed": "share of the gap to the oracle that the router closes",
    "router_minus_best_single": "router less best single expert",
    "router_minus_task_table": "router less task table",
    "router_minus_random": "router less random expert",
    "oracle_minus_router": "oracle less router (regret)",
    "oracle_minus_best_single": "oracle less best single expert (the gap)",
}


def html_page(report: PoolReport, further: str = "") -> str:
    """Return the whole page, `further` sections at its end: no script, no request to anywhere."""
    from collegium.evals.plots import calibration_and_shares, heat_maps, task_bars

    body = [
        _header(report),
        _tiles(report),
        f'<p class="verdict">{escape(verdict(report))}</p>',
        _alarms(report),
        section("Every way to answer", _rows_table(report)),
        section("Specialists on their own task", _specialists_table(report)),
        section("Accuracy per task", _BARS_TEXT + figure(task_bars(report))),
        section("Experts by tasks", figure(heat_maps(report))),
        section("Forecasts and choices", figure(calibration_and_shares(report))),
        section("Paired differences", _intervals_table(report)),
        further,
        section("Details", _details(report)),
    ]
    return document("Collegium: measured pool", body)


_BARS_TEXT = (
    "<p>The line in each bar is its 95 % interval, the dashed line the oracle; the number of "
    "prompts is in brackets.</p>"
)


def _header(report: PoolReport) -> str:
    counts = report.provenance.counts
    return (
        "<header>\n<h1>How good is the pool, and its router?</h1>\n"
        f"<p>{counts['experts']} experts, {counts['prompts']} prompts of "
        f"{len(report.per_task)} tasks, measured on {escape(report.provenance.date[:10])}.</p>\n"
        "</header>\n"
    )


def _tiles(report: PoolReport) -> str:
    gap = report.intervals["gap_closed"]
    single, oracle = report.best_single, report.oracle
    closed = "none to close" if gap is None else percent(gap.estimate)
    tiles = [
        ("tile main", "Router", percent(report.router.accuracy), limits(report.router)),
        ("tile", "Best single expert", percent(single.accuracy), f"{single.name} {limits(single)}"),
        ("tile", "Oracle", percent(oracle.accuracy), limits(oracle)),
        ("tile", "Gap closed", closed, "" if gap is None else limits(gap)),
    ]
    cells = (
        f'<div class="{css}"><span class="what">{escape(what)}</span><b>{escape(value)}</b>'
        f"<span>{escape(note)}</span></div>"
        for css, what, value, note in tiles
    )
    return f'<div class="tiles" style="margin-block-start:1.5rem">{"".join(cells)}</div>\n'


def _alarms(report: PoolReport) -> str:
    alarms = []
    if report.spread.collapsed:
        share = percent(report.spread.top_share)
        alarms.append(f"The router sends {share} of all prompts to '{report.spread.top_expert}'.")
    if left_out := report.provenance.counts.get("left_out"):
        alarms.append(f"{left_out} prompts are left out: not every expert answered them.")
    return "".join(f'<p class="alarm">{escape(text)}</p>\n' for text in alarms)


def _rows_table(report: PoolReport) -> str:
    lines = []
    for name, row in ordered_rows(report):
        css = ' class="router"' if (row.name, row.kind) == (ROUTER, "router") else ""
        note = f"<small>{escape(row.note)}</small>" if row.note else ""
        lines.append(
            f'<tr{css}><th scope="row">{escape(name)}{note}</th>'
            f'<td class="number">{percent(row.accuracy)}</td>'
            f'<td class="number">{limits(row)}</td><td>{_gauge(row)}</td></tr>'
        )
    return html_table(["answered by", "accuracy", "95 % interval", ""], lines)


def _gauge(row: Row) -> str:
    """Draw an interval as a bar and its estimate as a dot, in CSS alone."""
    left, width, at = 100 * row.low, 100 * (row.high - row.low), 100 * row.accuracy
    return (
        f'<div class="gauge"><i style="left:{left:.2f}%;width:{width:.2f}%"></i>'
        f'<u style="left:{at:.2f}%"></u></div>'
    )


def _specialists_table(report: PoolReport) -> str:
    if not report.specialists:
        return ""
    generalist = f"generalist, {report.generalist}"
    head = ["task", "its specialist", generalist, "difference", "prompts"]
    lines = [line(cells) for cells in specialist_cells(report)]
    return html_table(head, lines)


def _intervals_table(report: PoolReport) -> str:
    lines = []
    for name, found in report.intervals.items():
        share = name == "gap_closed"
        if found is None:
            value = "undefined"
        else:
            value = f"{percent(found.estimate)} {limits(found)}" if share else points(found)
        lines.append(line([INTERVALS.get(name, name), value]))
    return html_table(["", "estimate and 95 % interval, prompt by prompt"], lines)


def _details(report: PoolReport) -> str:
    made = report.provenance
    facts = {
        "command": f"<code>{escape(made.command)}</code>" if made.command else "not recorded",
        "date": escape(made.date),
        "seed": str(made.seed),
        "counts": escape(", ".join(f"{name} {count}" for name, count in made.counts.items())),
        "versions": escape(", ".join(f"{name} {each}" for name, each in made.versions.items())),
        "use of the pool": f"{report.spread.entropy_bits:.2f} of at most "
        f"{report.spread.most_entropy_bits:.2f} bits of entropy",
    }
    if report.overhead:
        taken = report.overhead
        facts["router's own time"] = (
            f"{taken.mean_ms:.2f} ms a prompt (median {taken.median_ms:.2f}, "
            f"95th percentile {taken.p95_ms:.2f})"
        )
    if report.calibration:
        facts["forecasts"] = (
            f"ECE {report.calibration.ece:.3f}, Brier score {report.calibration.brier:.3f} "
            f"over {report.calibration.count} forecasts"
        )
    if report.chat:
        chat = report.chat
        facts["everyday chat"] = escape(
            f"{percent(chat.share_to_generalist)} [{100 * chat.low:.1f}, {100 * chat.high:.1f}] "
            f"of {chat.prompts} prompts go to the generalist ({chat.source})"
        )
    return f"<dl>{''.join(f'<dt>{name}</dt><dd>{fact}</dd>' for name, fact in facts.items())}</dl>"
