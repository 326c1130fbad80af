"""A learning run's report as one self-contained page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from collegium.cli.learn_report import headline, measured, money, points
from collegium.evals.core.pages import Card, Page, Part, Table

CURVE = Path(__file__).with_name("learn_curve.svg")
WIDTH, HEIGHT, EDGE = 640, 320, 46
CURVE_TEXT = (
    "Points against the best single expert, over the money saved: each point of the line is one "
    "trade-off, judged by forecasts that did not see the prompt; the band holds 95 % of "
    "resamplings. The dots are the policies, the dashed line is one point lost."
)


def write_page(run: Any, path: Path) -> None:
    """Write the page; what prompts and experts are called is escaped."""
    path.write_text(page(run), encoding="utf-8")


def page(run: Any) -> str:
    """The page's HTML."""
    report = run["report"]
    cards = [
        Card("Quality against money", CURVE_TEXT, [_curve(report)]),
        Card("Policies", tables=[_policies(report)]),
        Card("Experts", tables=[_experts(report)]),
        Card("Applications", tables=[_applications(report)]),
        _panels(report),
        Card("Prompts that lose most", tables=[_worst(report)]),
    ]
    part = Part(alarms=report["warnings"], cards=cards)
    title = f"Learning run {run['id']}"
    return Page(title, "What a router would bring", [headline(report)], [part]).html()


def _curve(report: Any) -> str:
    """Quality against the best single expert's over money saved, with its band."""
    from jinja2 import Template

    rows = sorted(report["curve"], key=lambda row: row["saved"])
    values = [-row[key] for row in rows for key in ("loss_low", "loss_high")]
    top, bottom = max([1.0, *values]) + 0.5, min([-2.0, *values]) - 0.5
    wide, high = WIDTH - 2 * EDGE, HEIGHT - 2 * EDGE

    def at(saved: float, gained: float) -> tuple[float, float]:
        x = EDGE + min(max(saved, 0.0), 1.0) * wide
        return round(x, 1), round(EDGE + (top - gained) / (top - bottom) * high, 1)

    band = [at(row["saved"], -row["loss_low"]) for row in rows]
    band += [at(row["saved"], -row["loss_high"]) for row in reversed(rows)]
    policies = report["policies"].items()
    dots = {name: at(p["saved"] or 0.0, -p["loss_points"]) for name, p in policies}
    template = Template(CURVE.read_text(encoding="utf-8"), autoescape=True)
    drawn: str = template.render(
        width=WIDTH,
        height=HEIGHT,
        edge=EDGE,
        band=band,
        line=[at(row["saved"], -row["loss_points"]) for row in rows],
        policies=dots,
        as_good=at(0, 0.0)[1],
        point_lost=at(0, -1.0)[1],
        top=f"{top:+.0f}",
        bottom=f"{bottom:+.0f}",
    )
    return drawn


def _policies(report: Any) -> Table:
    rows = [
        [name, _share(p["saved"]), points(p), money(p)] for name, p in report["policies"].items()
    ]
    return Table(["Policy", "Saved", "Against best", "$ per 1,000"], rows)


def _experts(report: Any) -> Table:
    rows = [
        [e["expert"], str(e["marks"]), f"{e['quality']:.3f}", measured(e), money(e)]
        for e in report["experts"]
    ]
    return Table(["Expert", "Marks", "Quality", "Measured, 95 %", "$ per 1,000"], rows)


def _applications(report: Any) -> Table:
    rows = [
        [a["application"] or "(none)", a["mostly_sent_to"], a["best_expert"], str(a["prompts"]),
         _share(a["saved"]), points(a)]
        for a in report["applications"]
    ]  # fmt: skip
    header = ["Application", "Mostly sent to", "Best expert", "Prompts", "Saved", "Against best"]
    return Table(header, rows, words=3)


def _panels(report: Any) -> Card:
    rows = [
        [p["mode"], ", ".join(p["members"]), p["application"] or "all traffic",
         f"{p['gain_points']:+.1f} ± {p['margin_points']:.1f}", money(p)]
        for p in report["panels"]
    ]  # fmt: skip
    none = [] if rows else ["No panel of these experts beats the best single one."]
    header = ["Mode", "Members", "Application", "Points gained", "$ per 1,000"]
    return Card("Panels", tables=[Table(header, rows, words=3)], remarks=none)


def _worst(report: Any) -> Table:
    rows = [
        [w["prompt"], w["sent_to"], f"{w['score']:g}", f"{w['best_single_score']:g}"]
        for w in report["worst"]
    ]
    return Table(["Prompt", "Sent to", "Mark", "Best single's"], rows, words=2)


def _share(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.0%}"
