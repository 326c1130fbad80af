"""The live study of panels as a table, a sentence and a section with a plot."""

from __future__ import annotations

import numpy as np

from collegium.evals.core.bootstrap import Interval
from collegium.evals.core.pages import Card, Table
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
from collegium.evals.studies.panels.hull import hull_at
from collegium.evals.studies.panels.live import LiveRow, LiveStudy

COLOURS = {
    "best": (MUTED, "samples of the best single expert"),
    "routed": (PLAIN, "single routing, samples of its choice"),
    "panel": (INK, "a fixed panel"),
    "auto": (ACCENT, "auto"),
}
STEPS = 200  # straight lines are curves on a logarithmic axis
HEAD = ["way", "right, %", "tokens", "over single", "over best expert", "over samples", "failed"]


def panel_table(study: LiveStudy) -> list[list[str]]:
    """Every way, the first row the head; gaps in points with 95 % intervals."""
    return [HEAD, *map(_cells, study.rows)]


def _cells(row: LiveRow) -> list[str]:
    found = row.accuracy
    return [
        row.name,
        f"{100 * found.estimate:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]",
        f"{row.tokens:.0f}",
        _points(row.over_single),
        _points(row.over_best),
        _points(row.over_routed),
        str(row.failures),
    ]


def panel_verdict(study: LiveStudy) -> str:
    """In words: which modes pay for the same tokens, which do harm, where auto lies."""
    fixed = [row for row in study.rows if row.kind == "panel"]
    pay = [row.name for row in fixed if row.over_routed.low > 0]
    harm = [row.name for row in fixed if row.over_routed.high < 0]
    text = (
        f"{study.prompts} questions. Against single routing and samples of its choice for the same "
        f"tokens, of {len(fixed)} modes {_named(pay)} better and {_named(harm)} worse beyond the "
        "95 % interval."
    )
    if study.auto_over_hull is not None:
        gap = study.auto_over_hull
        where = "below" if gap.high < 0 else "on or above"
        text += f" `auto` lies {where} the hull of the fixed ways: {_points(gap)} points."
    return text


def _named(names: list[str]) -> str:
    verb = "is" if len(names) == 1 else "are"
    return f"{', '.join(names) or 'none'} {verb}"


def panel_card(study: LiveStudy) -> Card:
    """A card of the pool's page."""
    words = (
        f"{panel_verdict(study)} Tokens are of all calls. Gaps are points, paired by question: "
        f"over single routing; over {study.best_expert}, alone or sampled, for the same tokens; "
        "over single routing and samples of its choice for the same tokens."
    )
    return Card("Panels", words, [curve(study)], [Table.of(panel_table(study))])


def curve(study: LiveStudy) -> str:
    """Draw accuracy over tokens, one mark a way, and the hull of what needs no panel."""
    with drawing("live-panels"):
        plot, (axis,) = panels(1, 1, height=4.4)
        for kind, (colour, label) in COLOURS.items():
            rows = sorted(
                (row for row in study.rows if _belongs(row, kind, study)), key=lambda r: r.tokens
            )
            x = np.array([r.tokens for r in rows])
            y = np.array([r.accuracy.estimate for r in rows])
            axis.scatter(x, y, s=24, color=colour, label=label, zorder=3)
            if kind in ("best", "routed") and rows:
                steps = np.geomspace(x[0], x[-1], STEPS)
                mixed = hull_at(np.tile(y, (STEPS, 1)), np.tile(x, (STEPS, 1)), steps)
                axis.plot(steps, mixed, color=colour, linewidth=1.4)
            for row in rows if kind in ("panel", "auto") else ():
                at = (row.tokens, row.accuracy.estimate)
                axis.annotate(row.name, at, (4, 3), textcoords="offset points", size=8, color=MUTED)
        log_scale(axis)
        axis.set_xlabel("tokens a query, of all calls")
        axis.set_ylabel("right")
        axis.grid()
        axis.legend(frameon=False, loc="best", labelcolor=INK)
        words = "Accuracy over tokens of panels, auto and samples of one expert"
        return inline_svg(plot, "live-panels", words)


def _belongs(row: LiveRow, kind: str, study: LiveStudy) -> bool:
    """Whether a row is drawn with a baseline: the expert alone is one sample of itself."""
    if kind == "best":
        return row.kind == "best" or (row.kind == "expert" and row.name == study.best_expert)
    return row.kind == kind or (kind == "routed" and row.kind == "single")


def _points(gap: Interval) -> str:
    return f"{100 * gap.estimate:+.1f} [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]"
