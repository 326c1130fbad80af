"""The study of panels as JSON, a table, a sentence and a page with a plot."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from collegium.evals.core.bootstrap import Interval
from collegium.evals.core.pages import Card, Page, Part, Table
from collegium.evals.core.provenance import Provenance
from collegium.evals.core.svg import (
    ACCENT,
    INK,
    MUTED,
    PLAIN,
    drawing,
    inline_svg,
    log_scale,
    panels,
)
from collegium.evals.studies.panels.study import Fitted, Point, Study, auto_name

COLOURS = {"expert": MUTED, "routing": PLAIN, "panel": INK, "auto": ACCENT}
WORDS = {
    "expert": "one expert for all",
    "routing": "single routing",
    "panel": "a fixed panel",
    "auto": "auto",
}


def to_dict(study: Study, made: Provenance) -> dict[str, Any]:
    """What JSON can hold."""
    return {"kind": "panels", **asdict(study), "provenance": asdict(made)}


def table(study: Study) -> list[list[str]]:
    """All points by cost, the first row the head."""
    head = ["way", "kind", "accuracy", "cost a query", "over one expert", "over routing"]
    points = sorted(study.points, key=lambda p: (p.cost_usd, p.name))
    return [head, *map(_row, points)]


def _row(point: Point) -> list[str]:
    return [
        point.name,
        point.kind,
        f"{point.accuracy.estimate:.1%}",
        f"${point.cost_usd:.6f}",
        _points(point.over_equal_cost),
        _points(point.over_routing),
    ]


def verdict(study: Study) -> str:
    """In words: which panels pay, which do harm, and whether auto keeps to the hull."""
    fixed = [p for p in study.points if p.kind == "panel"]
    below = [name for name, gap in study.auto_over_hull.items() if gap.high < 0]
    auto = "lies on or above" if not below else f"({', '.join(below)}) lies below"
    return (
        f"{study.data}: of {len(fixed)} fixed panels, {_count(fixed, 'over_equal_cost', +1)} beat "
        f"and {_count(fixed, 'over_equal_cost', -1)} lose to single experts for the same money; "
        f"against single routing {_count(fixed, 'over_routing', +1)} win and "
        f"{_count(fixed, 'over_routing', -1)} lose (95 % intervals). `auto` {auto} the hull of the "
        f"fixed ways within the interval; at {study.price:g} a multiple, chosen in training, "
        f"by {_points(study.auto_over_hull[auto_name(study.price)])} points. "
        f"{study.test} test queries, profiles from {study.train}.{_fitted(study.cascade)}"
    )


def _fitted(cascade: Fitted | None) -> str:
    if cascade is None:
        return ""
    found = cascade.test_accuracy
    return (
        f" For ${cascade.target_usd:g} a query: {cascade.name}, ${cascade.train_cost_usd:.6f} in "
        f"training, ${cascade.test_cost_usd:.6f} and {found.estimate:.1%} [{found.low:.1%}, "
        f"{found.high:.1%}] on the test queries."
    )


def html_page(study: Study, made: Provenance) -> str:
    """Return the whole page."""
    cards = [
        Card("Quality and cost", figures=[curve(study)]),
        Card("Every way", tables=[Table.of(table(study))]),
    ]
    intro = [f"{made.command}, {made.date[:10]}."]
    part = Part(verdict=verdict(study), cards=cards)
    return Page("Collegium: panels", "When does a panel pay?", intro, [part]).html()


def curve(study: Study) -> str:
    """Draw accuracy over cost, one mark a way."""
    with drawing("panels"):
        plot, (axis,) = panels(1, 1, height=4.0)
        for kind, colour in COLOURS.items():
            found = sorted(
                (p.cost_usd, p.accuracy.estimate) for p in study.points if p.kind == kind
            )
            joined = "-" if kind in ("routing", "auto") else ""
            axis.plot([c for c, _ in found], [a for _, a in found], joined, marker="o",
                      markersize=4, color=colour, linewidth=1.4, label=WORDS[kind])  # fmt: skip
        log_scale(axis)
        axis.set_xlabel("dollars a query")
        axis.set_ylabel("right")
        axis.grid()
        axis.legend(frameon=False, loc="lower right", labelcolor=INK)
        return inline_svg(plot, "panels", "Accuracy over cost of experts, routing, panels and auto")


def _count(points: list[Point], measure: str, sign: int) -> int:
    """How many are above (or below) zero by the whole interval."""
    found: list[Interval] = [getattr(p, measure) for p in points]
    return sum(i.low > 0 if sign > 0 else i.high < 0 for i in found)


def _points(gap: Interval) -> str:
    return f"{100 * gap.estimate:+.1f} [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]"
