"""The figures of a pool's report, as inline SVG."""

from typing import TYPE_CHECKING

import numpy as np

from collegium.evals.arrays import Floats
from collegium.evals.calibration import Calibration
from collegium.evals.pool_report import ROUTER, PoolReport, TaskResult
from collegium.evals.svg import ACCENT, INK, LINE, MUTED, PLAIN, drawing, inline_svg, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS_IN_A_ROW = 3
TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)


def task_bars(report: PoolReport) -> str:
    """Draw a panel a task: the accuracy of the router and of every expert, with intervals."""
    tasks = report.per_task
    columns = min(PANELS_IN_A_ROW, len(tasks))
    rows = -(-len(tasks) // columns)
    bars = 1 + len(report.spread.shares)
    with drawing("bars"):
        figure, axes = panels(rows, columns, height=rows * (0.75 + 0.22 * bars), sharey=True)
        for axis, task in zip(axes, tasks, strict=False):
            _task_panel(axis, task)
        for axis in axes[len(tasks) :]:
            axis.set_axis_off()
        return inline_svg(figure, "bars", "Accuracy of every expert and the router, per task")


def _task_panel(axis: "Axes", task: TaskResult) -> None:
    shown = [row for row in task.rows if row.kind == "expert"]
    shown.insert(0, next(r for r in task.rows if (r.name, r.kind) == (ROUTER, "router")))
    oracle = next(row for row in task.rows if row.kind == "oracle")
    for place, row in enumerate(shown):
        router = row.kind == "router"
        colour = ACCENT if router else PLAIN
        axis.barh(place, row.accuracy, height=0.68, color=colour, alpha=1.0 if router else 0.75)
        axis.plot([row.low, row.high], [place, place], color=INK, linewidth=1.1)
        axis.text(1.03, place, f"{row.accuracy:.0%}", va="center", size=8, color=MUTED)
    axis.axvline(oracle.accuracy, color=MUTED, linewidth=1, linestyle=(0, (3, 2)))
    axis.set_title(f"{task.task}  ({task.prompts})")
    axis.set_xlim(0, 1)
    axis.set_xticks(TICKS, [f"{tick:.0%}" for tick in TICKS])
    axis.set_yticks(range(len(shown)), [row.name for row in shown])
    axis.set_ylim(len(shown) - 0.4, -0.6)
    axis.tick_params(length=0)
    axis.grid(axis="x")


def heat_maps(report: PoolReport) -> str:
    """Draw experts by tasks twice: how accurate they are, and where the router sends prompts."""
    experts = list(report.spread.shares)
    tasks = [task.task for task in report.per_task]
    accuracy = np.array(
        [[row.accuracy for row in task.rows if row.kind == "expert"] for task in report.per_task]
    ).T
    share = np.array([[task.choices[name] for task in report.per_task] for name in experts])
    with drawing("heat"):
        figure, (left, right) = panels(1, 2, height=1.3 + 0.36 * len(experts), sharey=True)
        _heat_map(left, accuracy, experts, tasks, colour=PLAIN)
        _heat_map(right, share, experts, tasks, colour=ACCENT)
        left.set_title("How often each expert is right")
        right.set_title("Where the router sends each task")
        return inline_svg(figure, "heat", "Accuracy and routing shares of experts by tasks")


def _heat_map(
    axis: "Axes", values: Floats, rows: list[str], columns: list[str], *, colour: str
) -> None:
    """Fill cells by opacity, which reads well on light and on dark ground."""
    from matplotlib.patches import Rectangle

    for (row, column), value in np.ndenumerate(values):
        corner = (column - 0.48, row - 0.46)
        axis.add_patch(Rectangle(corner, 0.96, 0.92, facecolor=LINE, alpha=0.3, linewidth=0))
        axis.add_patch(
            Rectangle(corner, 0.96, 0.92, facecolor=colour, alpha=0.6 * value, linewidth=0)
        )
        axis.text(column, row, f"{value:.0%}", ha="center", va="center", size=8.5)
    axis.set_xlim(-0.5, len(columns) - 0.5)
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set_xticks(range(len(columns)), columns, rotation=35 if len(columns) > 4 else 0)
    for label in axis.get_xticklabels():
        label.set_horizontalalignment("right" if len(columns) > 4 else "center")
    axis.set_yticks(range(len(rows)), rows)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)


def calibration_and_shares(report: PoolReport) -> str:
    """Draw forecasts against what happened, and the router's share of prompts per expert."""
    known = [each for each in (report.calibration, report.chosen_calibration) if each]
    with drawing("spread"):
        height = max(3.2 if known else 0, 0.9 + 0.24 * len(report.spread.shares))
        figure, axes = panels(1, 2 if known else 1, height=height)
        if known:
            _reliability(axes[0], report)
        _shares(axes[-1], report)
        return inline_svg(figure, "spread", "Calibration of forecasts and shares of experts")


def _reliability(axis: "Axes", report: PoolReport) -> None:
    axis.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (3, 2)))
    _curve(axis, report.calibration, "all forecasts", PLAIN)
    _curve(axis, report.chosen_calibration, "of the chosen expert", ACCENT)
    axis.set_xlim(-0.03, 1.03)
    axis.set_ylim(-0.03, 1.03)
    axis.set_xticks(TICKS, [f"{tick:.0%}" for tick in TICKS])
    axis.set_yticks(TICKS, [f"{tick:.0%}" for tick in TICKS])
    axis.set_xlabel("forecast")
    axis.set_ylabel("came true")
    axis.set_title("Are the forecasts honest?")
    axis.grid()
    axis.legend(frameon=False, loc="upper left", labelcolor=INK)


def _curve(axis: "Axes", found: Calibration | None, label: str, colour: str) -> None:
    if found is None:
        return
    expected = [each.forecast for each in found.bins]
    observed = [each.observed for each in found.bins]
    size = [18 + 160 * each.count / found.count for each in found.bins]
    label = f"{label} (ECE {found.ece:.3f})"
    axis.plot(expected, observed, color=colour, linewidth=1.4, label=label)
    axis.scatter(expected, observed, s=size, color=colour, linewidths=0, zorder=3)


def _shares(axis: "Axes", report: PoolReport) -> None:
    names, longest = list(report.spread.shares), report.spread.top_share
    for place, share in enumerate(report.spread.shares.values()):
        axis.barh(place, share, height=0.68, color=ACCENT)
        axis.text(share + 0.02 * longest, place, f"{share:.1%}", va="center", size=8, color=MUTED)
    axis.set_xlim(0, 1.15 * longest)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.set_yticks(range(len(names)), names)
    axis.set_xticks([])
    axis.tick_params(length=0)
    axis.spines["bottom"].set_visible(False)
    axis.set_title("Share of prompts per expert")
