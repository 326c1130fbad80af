"""A residency report as a page: loaded engines and waits over time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from collegium.evals.core.pages import Card, Page, Part, Table
from collegium.evals.core.svg import ACCENT, INK, LINE, PLAIN, drawing, inline_svg, panels
from collegium.evals.studies.residency.study import FORESIGHT, LRU, Outcome, ResidencyReport
from collegium.evals.studies.residency.world import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HEAD = ("Policy", "mean", "p50", "p95", "p99", "longest", "loads", "quality, points")


def residency_page(report: ResidencyReport, runs: Mapping[str, Run]) -> str:
    """Return the whole page."""
    title = f"Residency: {len(report.shares)} experts, {report.device.fit} fit"
    intro = (
        f"Requests of {report.trace} with prompts of {report.data}. "
        f"A load takes {report.device.load_s:g} s. Made by {report.provenance.command}."
    )
    rows = [cells(report, o.policy) for o in report.outcomes]
    cards = (
        Card("Waiting, seconds", tables=[Table(HEAD, rows)]),
        Card("Who was loaded when", figures=[timeline(report, runs)]),
        Card("How long requests waited", figures=[waiting(runs)]),
    )
    return Page(title, title, [intro], [Part(cards=cards)]).html()


def cells(report: ResidencyReport, policy: str) -> tuple[str, ...]:
    """A policy's row of the table."""
    o = report.outcome(policy)
    times = (o.mean_s, o.p50_s, o.p95_s, o.p99_s, o.most_s)
    return (policy, *(f"{seconds:.1f}" for seconds in times), str(o.swaps), _quality(o))


def _quality(outcome: Outcome) -> str:
    """A policy's mean quality, and the interval of what it is more than that of the others."""
    if outcome.quality is None:
        return ""
    shown = f"{100 * outcome.quality:.1f}"
    if (d := outcome.quality_difference) is None or d.low == d.high == 0:
        return shown
    return f"{shown} ({100 * d.estimate:+.1f}: {100 * d.low:+.1f} to {100 * d.high:+.1f})"


def timeline(report: ResidencyReport, runs: Mapping[str, Run]) -> str:
    """Draw the engines' time on the device under LRU and under foresight."""
    names = list(report.shares)
    end = max(runs[policy].end for policy in (LRU, FORESIGHT))
    with drawing("timeline"):
        drawn, axes = panels(2, 1, height=1.4 + 0.5 * len(names))
        for axis, policy in zip(axes, (LRU, FORESIGHT), strict=True):
            _spans(axis, runs[policy], names)
            axis.set_xlim(0, end / 60)
            axis.set_title(f"{policy}: {runs[policy].swaps} loads")
        axes[1].set_xlabel("minutes")
        return inline_svg(drawn, "timeline", "Engines on the device over time, by policy")


def _spans(axis: Axes, run: Run, names: list[str]) -> None:
    """Loading is pale, answering is full."""
    for span in run.spans:
        place = names.index(span.engine)
        ready = min(span.ready or span.end, span.end)
        axis.barh(place, (ready - span.begin) / 60, left=span.begin / 60, color=LINE, height=0.7)
        axis.barh(place, (span.end - ready) / 60, left=ready / 60, color=ACCENT, height=0.7)
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.tick_params(length=0)


def waiting(runs: Mapping[str, Run]) -> str:
    """Draw the share of requests that waited at most so long."""
    with drawing("waiting"):
        drawn, (axis,) = panels(1, 1, height=3.2)
        for policy, colour in ((LRU, PLAIN), (FORESIGHT, ACCENT)):
            waits = np.sort(runs[policy].waits)
            share = np.arange(1, len(waits) + 1) / len(waits)
            axis.plot(waits, share, color=colour, linewidth=1.8, label=policy)
        axis.axhline(0.95, color=LINE, linewidth=1)
        axis.set_xlabel("seconds")
        axis.set_ylabel("share of requests")
        axis.set_ylim(0, 1.01)
        axis.legend(frameon=False, loc="lower right", labelcolor=INK)
        return inline_svg(drawn, "waiting", "Share of requests by waiting time")
