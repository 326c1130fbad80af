"""The figures of a routing page, as inline SVG."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from collegium.evals.core.arrays import Floats
from collegium.evals.core.calibration import Calibration
from collegium.evals.core.svg import (
    ACCENT,
    INK,
    LINE,
    MUTED,
    PLAIN,
    drawing,
    inline_svg,
    log_scale,
    panels,
)
from collegium.evals.routing import baselines as base
from collegium.evals.routing.curves import hull
from collegium.evals.routing.routing_report import Contender, SetReport
from collegium.evals.routing.text import LABELS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_BARS = 20
WIDE_RANGE = 10.0
"""Costs that differ by more than this factor are drawn on a logarithmic axis."""
TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
DASHED = (0, (3, 2))


def cost_quality(found: SetReport, router: Contender, name: str) -> str:
    """Draw what accuracy costs: single models as dots, routers as hulls of their trade-offs."""
    dollars = 1000 * np.array(list(found.model_costs.values()))
    single = 100 * np.array(list(found.models.values()))
    others = [row for row in found.routers if row.curve and row.name != router.name]
    knn = found.contender(base.TUNED_KNN, "baseline")
    with drawing(name):
        figure, (axis,) = panels(1, 1, height=4.6)
        if dollars.min() > 0 and dollars.max() > WIDE_RANGE * dollars.min():
            log_scale(axis)
        axis.scatter(dollars, single, s=22, color=MUTED, alpha=0.75, label="single models")
        _model_names(axis, dollars, single, list(found.models))
        x, y = _dense_hull(dollars, single)
        axis.plot(x, y, color=MUTED, linestyle=DASHED, label="mixing single models by chance")
        for index, row in enumerate(others):
            _curve(axis, row, LINE, "other routers" if index == 0 else None, width=1.1)
        _peers(axis, found)
        _curve(axis, knn, PLAIN, LABELS[base.TUNED_KNN], width=2.2)
        _curve(axis, router, ACCENT, router.name, width=2.2)
        axis.set_xlabel("dollars per 1,000 queries")
        axis.set_ylabel("accuracy, %")
        axis.set_title("What accuracy costs")
        axis.grid()
        axis.legend(frameon=False, loc="lower right", labelcolor=INK)
        return inline_svg(figure, name, "Accuracy against cost of routers and single models")


def _curve(axis: "Axes", row: Contender, colour: str, label: str | None, *, width: float) -> None:
    if not row.curve:
        return
    points = np.array(row.curve)
    x, y = _dense_hull(1000 * points[:, 0], 100 * points[:, 1])
    axis.plot(x, y, color=colour, linewidth=width, label=label)
    axis.scatter([1000 * row.cost_usd], [100 * row.accuracy.estimate], s=30, color=colour, zorder=3)


def _dense_hull(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return the hull in small steps: its straight lines are curves on a logarithmic axis."""
    corners, heights = hull(x, y)
    steps = np.unique(np.r_[corners, np.linspace(corners[0], corners[-1], 400)])
    return steps, np.interp(steps, corners, heights)


def _peers(axis: "Axes", found: SetReport) -> None:
    """Put a cross where each peer chose to be; most have no trade-off to draw."""
    if found.peers:
        dollars = [1000 * row.cost_usd for row in found.peers]
        accuracy = [100 * row.accuracy.estimate for row in found.peers]
        axis.scatter(
            dollars, accuracy, s=30, color=INK, marker="x", label="other projects' routers"
        )


def _model_names(axis: "Axes", x: Floats, y: Floats, names: list[str]) -> None:
    """Name the models on the hull; all names would cover one another."""
    corners = set(zip(*(column.tolist() for column in hull(x, y)), strict=True))
    for dollars, accuracy, name in zip(x.tolist(), y.tolist(), names, strict=True):
        if (dollars, accuracy) in corners:
            axis.annotate(
                name, (dollars, accuracy), (5, -10), textcoords="offset points", size=8, color=MUTED
            )


def task_bars(found: SetReport, router: Contender, name: str) -> str:
    """Draw a bar a task for the router, with marks for what it has to beat and the oracle."""
    tasks = sorted(found.tasks, key=lambda task: -found.tasks[task])[:MOST_BARS]
    with drawing(name):
        figure, (axis,) = panels(1, 1, height=1.1 + 0.27 * len(tasks))
        places = np.arange(len(tasks))
        axis.barh(
            places, [router.per_task[task] for task in tasks], 0.68, color=ACCENT, label=router.name
        )
        table, oracle = (_per_task(found, what, tasks) for what in (base.TASK_TABLE, base.ORACLE))
        low, high = places - 0.42, places + 0.42
        axis.vlines(table, low, high, PLAIN, linewidth=2, label=LABELS[base.TASK_TABLE])
        axis.vlines(oracle, low, high, MUTED, linestyles=DASHED, label=LABELS[base.ORACLE])
        single = _per_task(found, base.BEST_SINGLE, tasks)
        axis.scatter(single, places, s=16, color=INK, zorder=3, label=LABELS[base.BEST_SINGLE])
        axis.set_yticks(places, [f"{task}  ({found.tasks[task]})" for task in tasks])
        axis.set_ylim(len(tasks) - 0.4, -0.6)
        axis.set_xlim(0, 1)
        axis.set_xticks(TICKS, [f"{tick:.0%}" for tick in TICKS])
        axis.tick_params(length=0)
        axis.grid(axis="x")
        axis.legend(frameon=False, loc="lower center", ncols=4, bbox_to_anchor=(0.5, 1.0))
        return inline_svg(figure, name, "Accuracy of the router per task")


def _per_task(found: SetReport, name: str, tasks: Sequence[str]) -> list[float]:
    row = next(row for row in found.contenders if row.name == name and row.kind != "router")
    return [row.per_task[task] for task in tasks]


def calibration_and_shares(found: SetReport, router: Contender, name: str) -> str:
    """Draw forecasts against what happened, and the shares of models beside the oracle's."""
    bars = min(MOST_BARS, len(found.models))
    with drawing(name):
        figure, (left, right) = panels(1, 2, height=max(3.4, 1.0 + 0.24 * bars))
        left.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=DASHED)
        _reliability(left, router.calibration, "all forecasts", PLAIN)
        _reliability(left, router.chosen_calibration, "of the chosen model", ACCENT)
        left.set_xticks(TICKS, [f"{tick:.0%}" for tick in TICKS])
        left.set_yticks(TICKS, [f"{tick:.0%}" for tick in TICKS])
        left.set_xlabel("forecast")
        left.set_ylabel("came true")
        left.set_title("Are the forecasts honest?")
        left.grid()
        left.legend(frameon=False, loc="upper left", labelcolor=INK)
        _shares(right, found, router)
        return inline_svg(figure, name, "Calibration of forecasts and shares of models")


def _reliability(axis: "Axes", found: Calibration | None, label: str, colour: str) -> None:
    if found is None:
        return
    expected = [each.forecast for each in found.bins]
    observed = [each.observed for each in found.bins]
    axis.plot(expected, observed, color=colour, label=f"{label} (ECE {found.ece:.3f})", marker="o")


def _shares(axis: "Axes", found: SetReport, router: Contender) -> None:
    oracle = found.contender(base.ORACLE, "oracle")
    if router.spread is None or oracle.spread is None:
        return
    ours, best = router.spread.shares, oracle.spread.shares
    names = sorted(ours, key=lambda model: -ours[model])[:MOST_BARS]
    places = np.arange(len(names))
    axis.barh(places, [ours[name] for name in names], 0.68, color=ACCENT, label=router.name)
    axis.vlines(
        [best[name] for name in names], places - 0.42, places + 0.42, MUTED, linewidth=2,
        label="oracle",
    )  # fmt: skip
    axis.set_yticks(places, names)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    axis.tick_params(length=0)
    axis.grid(axis="x")
    axis.set_title("Share of prompts per model")
    axis.legend(frameon=False, loc="lower right", labelcolor=INK)
