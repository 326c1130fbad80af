"""A router's robustness as tables of words."""

from __future__ import annotations

from collegium.evals.core.bootstrap import Interval
from collegium.evals.routing.robustness.report import Effect, ServedRobustness
from collegium.evals.routing.routing_report import RoutingReport

HEAD = ("same decision %", "saving %", "dearest model %", "accuracy %")


def disturbed_table(found: ServedRobustness | None) -> list[list[str]]:
    """Return what each kind of disturbance does, the header first; nothing if not measured."""
    if found is None:
        return []
    head = [f"disturbed ({found.policy}, {found.prompts} prompts)", *HEAD]
    return [head, *(_row(each) for each in (found.undisturbed, found.overall, *found.kinds))]


def overall_table(report: RoutingReport) -> list[list[str]]:
    """Return a line a set and their mean, the header first; nothing for a single set."""
    rows = [
        [
            found.name,
            *_row(found.robustness.overall)[1:],
            _within(found.robustness.undisturbed.saving),
        ]
        for found in report.sets
        if found.robustness is not None
    ]
    mean = report.robustness
    if mean is None or len(rows) < 2:
        return []
    last = ["mean", _share(mean.same), _share(mean.saving_disturbed)]
    last += [_share(mean.dearest_disturbed), "", _share(mean.saving)]
    return [["disturbed", *HEAD, "saving undisturbed %"], *rows, last]


def _row(effect: Effect) -> list[str]:
    cells = [effect.same, effect.saving, effect.dearest, effect.accuracy]
    return [effect.kind.replace("_", " "), *map(_within, cells)]


def _within(found: Interval | None) -> str:
    if found is None:
        return "-"
    return f"{100 * found.estimate:.1f} [{100 * found.low:.0f}, {100 * found.high:.0f}]"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
