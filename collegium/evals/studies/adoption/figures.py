"""The figures of an adoption page, as inline SVG; more marks have a stronger colour."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

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
from collegium.evals.studies.adoption.rows import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_BARS = 20
PALEST = 0.28
DASHED = (0, (3, 2))
ROOM = 0.03
"""Of the accuracies, above and below what is drawn."""
MARKS = (
    ("best_single", "best single expert", "o", INK),
    ("random", "random", "x", MUTED),
    ("table", "table by true task, all marks", "s", PLAIN),
    ("oracle", "oracle", "D", MUTED),
)


def trade_offs(curves: Sequence[Row], table: Row | None, name: str) -> str:
    """Draw what accuracy costs: a line for each number of replays, and what is there without."""
    with drawing(name):
        figure, (axis,) = panels(1, 1, height=4.8)
        for row, alpha in _shaded(curves):
            _curve(axis, row, alpha)
        if table is not None:
            x, y = table.further["curve"]["usd_per_1k"], table.further["curve"]["accuracy"]
            label = f"{_table_name(table)}, {_replays(table)}"
            axis.plot(x, 100 * np.array(y), color=PLAIN, linestyle=DASHED, label=label)
        _references(axis, curves[0])
        log_scale(axis)
        axis.set_xlabel("dollars per 1,000 requests")
        axis.set_ylabel("accuracy, %")
        axis.grid()
        axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), labelcolor=INK)
        return inline_svg(figure, name, "Accuracy against cost by number of replays")


def _table_name(row: Row) -> str:
    return row.policy.replace("_", " ")


def _replays(row: Row) -> str:
    return f"{row.replays:,} replays"


def _shaded(rows: Sequence[Row]) -> Iterator[tuple[Row, float]]:
    """Rows by number of replays, with the opacity of each."""
    ordered = sorted(rows, key=lambda row: row.replays)
    return zip(ordered, np.linspace(1.0, PALEST, len(ordered))[::-1].tolist(), strict=True)


def _curve(axis: Axes, row: Row, alpha: float) -> None:
    """A line with a band of one standard deviation over draws; without replays, one point."""
    found = row.further["curve"]
    x, y, width = (np.array(found[key]) for key in ("usd_per_1k", "accuracy", "accuracy_sd"))
    if not row.replays:
        axis.scatter(x[:1], 100 * y[:1], s=60, color=ACCENT, marker="*", label=_replays(row))
        return
    axis.plot(x, 100 * y, color=ACCENT, alpha=alpha, linewidth=2, label=_replays(row))
    band = 100 * (y - width), 100 * (y + width)
    axis.fill_between(x, *band, color=ACCENT, alpha=0.12 * alpha, linewidth=0)


def _references(axis: Axes, row: Row) -> None:
    for key, label, marker, colour in MARKS:
        point = row.further["reference"][key]
        axis.scatter(
            [point["usd_per_1k"]],
            [100 * point["accuracy"]],
            s=42,
            color=colour,
            marker=marker,
            label=label,
            zorder=3,
        )


def calibration(curves: Sequence[Row], name: str) -> str:
    """Draw what came true of forecasts: a line for each number of replays."""
    told = [row for row in curves if row.further["calibration"]]
    if not told:
        return ""
    with drawing(name):
        figure, (axis,) = panels(1, 1, height=4.2)
        points = np.array([row.further["calibration"] for row in told])
        ends = [100 * points.min() - 100 * ROOM, 100 * points.max() + 100 * ROOM]
        axis.plot(ends, ends, color=MUTED, linewidth=1, linestyle=DASHED)
        for row, alpha in _shaded(told):
            forecast, outcome = 100 * np.array(row.further["calibration"]).T
            label = f"{_replays(row)} (ECE {row.further['ece']:.3f})"
            axis.plot(forecast, outcome, color=ACCENT, alpha=alpha, marker="o", label=label)
        axis.set_xlabel("forecast, %")
        axis.set_ylabel("came true, %")
        axis.grid()
        axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), labelcolor=INK)
        return inline_svg(figure, name, "Calibration of forecasts by number of replays")


def losses(rows: Sequence[Row], name: str) -> str:
    """Draw points below the best single expert: applications that lose most after all replays."""
    last = max(rows, key=lambda row: row.replays).further["application_losses"]
    names = sorted(last, key=lambda key: -last[key])[:MOST_BARS]
    with drawing(name):
        figure, (axis,) = panels(1, 1, height=1.2 + 0.22 * len(names))
        places = np.arange(len(names))
        axis.axvline(0, color=MUTED, linewidth=1)
        for row, alpha in _shaded(rows):
            lost = [row.further["application_losses"][key] for key in names]
            axis.scatter(lost, places, s=34, color=ACCENT, alpha=alpha, label=_replays(row))
        axis.set_yticks(places, names)
        axis.set_ylim(len(names) - 0.4, -0.6)
        axis.tick_params(length=0)
        axis.grid(axis="x")
        axis.set_xlabel("points below the best single expert (left of 0: above it)")
        axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), labelcolor=INK)
        return inline_svg(figure, name, "Loss of accuracy by application")
