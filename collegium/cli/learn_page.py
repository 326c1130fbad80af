"""A learning run's report as one self-contained page."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from collegium.cli.learn_report import headline, money, points

WIDTH, HEIGHT, EDGE = 640, 320, 46
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       color: #1c2430; background: #fff; }
table { border-collapse: collapse; margin: 1rem 0; width: 100%; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #d8dee6; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
.warning { border-left: 4px solid #b45309; padding: .4rem .8rem; background: #fff7ed; }
svg text { font-size: 12px; fill: #445; }
@media (prefers-color-scheme: dark) {
  body { color: #e5e9f0; background: #14181f; } th, td { border-color: #333b47; }
  .warning { background: #2a2013; } svg text { fill: #aab; } }
"""


def write_page(run: Any, path: Path) -> None:
    """Write the page; what prompts and experts are called is escaped."""
    path.write_text(page(run), encoding="utf-8")


def page(run: Any) -> str:
    """The page's HTML."""
    report = run["report"]
    parts = [
        f"<h1>What a router would bring</h1><p>{escape(headline(report))}</p>",
        *(f"<p class=warning>{escape(words)}</p>" for words in report["warnings"]),
        "<h2>Quality against money</h2>",
        "<p>Points against the best single expert, over the money saved: each point of the line is "
        "one trade-off, judged by forecasts that did not see the prompt; the band holds 95 % of "
        "resamplings. The dots are the policies, the dashed line is one point lost.</p>",
        _curve(report),
        "<h2>Policies</h2>",
        _policies(report),
        "<h2>Experts</h2>",
        _experts(report),
        "<h2>Applications</h2>",
        _applications(report),
        "<h2>Panels</h2>",
        _panels(report),
        "<h2>Prompts that lose most</h2>",
        _worst(report),
    ]
    title = f"Learning run {escape(run['id'])}"
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>"
        f"<meta name=viewport content='width=device-width'><style>{STYLE}</style>"
        f"<body>{''.join(parts)}</body></html>"
    )


def _curve(report: Any) -> str:
    """Quality against the best single expert's over money saved, with its band."""
    rows = sorted(report["curve"], key=lambda row: row["saved"])
    values = [-row[key] for row in rows for key in ("loss_low", "loss_high")]
    top, bottom = max([1.0, *values]) + 0.5, min([-2.0, *values]) - 0.5
    wide, high = WIDTH - 2 * EDGE, HEIGHT - 2 * EDGE

    def at(saved: float, gained: float) -> str:
        x = EDGE + min(max(saved, 0.0), 1.0) * wide
        return f"{x:.1f},{EDGE + (top - gained) / (top - bottom) * high:.1f}"

    low = [at(row["saved"], -row["loss_low"]) for row in rows]
    back = [at(row["saved"], -row["loss_high"]) for row in reversed(rows)]
    line = " ".join(at(row["saved"], -row["loss_points"]) for row in rows)
    dots = "".join(
        "<circle cx={} cy={} r=4 fill='#b45309'><title>{}</title></circle>".format(
            *at(p["saved"] or 0.0, -p["loss_points"]).split(","), name
        )
        for name, p in report["policies"].items()
    )
    same, lost = (at(0, gained).split(",")[1] for gained in (0.0, -1.0))
    right = WIDTH - EDGE
    return (
        f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' role=img aria-label='Points of quality against the "
        "best single expert over money saved'>"
        f"<polygon points='{' '.join(low + back)}' fill='#3b82f6' opacity='.18'/>"
        f"<polyline points='{line}' fill='none' stroke='#2563eb' stroke-width='2'/>{dots}"
        f"<line x1={EDGE} x2={right} y1={same} y2={same} stroke='#889'/>"
        f"<line x1={EDGE} x2={right} y1={lost} y2={lost} stroke='#b45309' stroke-dasharray=4 />"
        f"<text x={EDGE} y={HEIGHT - 10}>0 % saved</text>"
        f"<text x={right} y={HEIGHT - 10} text-anchor=end>100 %</text>"
        f"<text x={right} y={float(same) - 4:.0f} text-anchor=end>as good</text>"
        f"<text x=4 y={EDGE:.0f}>{top:+.0f}</text>"
        f"<text x=4 y={HEIGHT - EDGE:.0f}>{bottom:+.0f}</text></svg>"
    )


def _table(header: list[str], rows: list[list[str]], numbers: int) -> str:
    """A table whose last `numbers` columns are numbers."""
    first = len(header) - numbers

    def cells(tag: str, row: list[str]) -> str:
        return "".join(
            f"<{tag}{' class=n' if i >= first else ''}>{escape(cell)}</{tag}>"
            for i, cell in enumerate(row)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<table><tr>{cells('th', header)}</tr>{body}</table>"


def _policies(report: Any) -> str:
    rows = [
        [name, _share(p["saved"]), points(p), money(p)] for name, p in report["policies"].items()
    ]
    return _table(["Policy", "Saved", "Against best", "$ per 1,000"], rows, 3)


def _experts(report: Any) -> str:
    rows = [
        [e["expert"], str(e["marks"]), f"{e['quality']:.3f}", money(e)] for e in report["experts"]
    ]
    return _table(["Expert", "Marks", "Quality", "$ per 1,000"], rows, 3)


def _applications(report: Any) -> str:
    rows = [
        [a["application"] or "(none)", a["mostly_sent_to"], a["best_expert"], str(a["prompts"]),
         _share(a["saved"]), points(a)]
        for a in report["applications"]
    ]  # fmt: skip
    header = ["Application", "Mostly sent to", "Best expert", "Prompts", "Saved", "Against best"]
    return _table(header, rows, 3)


def _panels(report: Any) -> str:
    if not report["panels"]:
        return "<p>No panel of these experts beats the best single one.</p>"
    rows = [
        [p["mode"], ", ".join(p["members"]), p["application"] or "all traffic",
         f"{p['gain_points']:+.1f} ± {p['margin_points']:.1f}", money(p)]
        for p in report["panels"]
    ]  # fmt: skip
    return _table(["Mode", "Members", "Application", "Points gained", "$ per 1,000"], rows, 2)


def _worst(report: Any) -> str:
    rows = [
        [w["prompt"], w["sent_to"], f"{w['score']:g}", f"{w['best_single_score']:g}"]
        for w in report["worst"]
    ]
    return _table(["Prompt", "Sent to", "Mark", "Best single's"], rows, 2)


def _share(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.0%}"
