"""A routing report as text: aligned tables for the terminal, Markdown for the documentation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from collegium.evals.core.bootstrap import Interval
from collegium.evals.routing import baselines as base
from collegium.evals.routing.routing_report import Contender, RoutingReport, SetReport

if TYPE_CHECKING:
    from collegium.evals.routing.live import LiveReport

LABELS = {
    base.BEST_SINGLE: "best single model",
    base.HINDSIGHT: "best single, in hindsight",
    base.RANDOM: "random model",
    base.TASK_TABLE: "task table",
    base.PROMPT_LENGTH: "prompt length",
    base.UNTUNED_KNN: "untuned kNN",
    base.TUNED_KNN: "tuned kNN",
    base.ORACLE: "oracle",
}
SAME = "same choices"
COLUMNS: dict[str, Callable[[Contender], str]] = {
    "accuracy %": lambda row: shares(row.accuracy),
    "macro %": lambda row: f"{100 * row.macro_accuracy.estimate:.2f}",
    "$/1k": lambda row: f"{1000 * row.cost_usd:.3g}",
    "APGR": lambda row: within(row.apgr),
    "CPT50 %": lambda row: within(row.cpt50, scale=100, digits=1),
    "CPT80 %": lambda row: within(row.cpt80, scale=100, digits=1),
    "AIQ": lambda row: within(row.aiq),
    "gap@oracle %": lambda row: f"{100 * row.gap_at_oracle:.1f}",
    "ECE": lambda row: number(None if row.calibration is None else row.calibration.ece),
    "Brier": lambda row: number(None if row.calibration is None else row.calibration.brier),
    "top share": lambda row: "-" if row.spread is None else f"{row.spread.top_share:.0%}",
    "bits": lambda row: number(None if row.spread is None else row.spread.entropy_bits, digits=2),
}
"""The columns of a set's table, each from one row."""


def label(row: Contender) -> str:
    """Name a row for people."""
    return row.name if row.kind == "router" else LABELS.get(row.name, row.name)


def ordered(found: SetReport) -> list[Contender]:
    """Return the bound first, then routers, peers and baselines from best to worst."""
    order = {"oracle": 0, "router": 1, "peer": 2, "baseline": 3}
    return sorted(found.contenders, key=lambda r: (order[r.kind], -r.accuracy.estimate))


def table(found: SetReport) -> list[list[str]]:
    """Return a set's main table, the header first."""
    rows = [[label(row), *(cell(row) for cell in COLUMNS.values())] for row in ordered(found)]
    return [["answered by", *COLUMNS], *rows]


def differences(found: SetReport) -> list[list[str]]:
    """Return each router's differences in points, the header first."""
    names = (base.BEST_SINGLE, base.TASK_TABLE, base.TUNED_KNN)
    head = ["router", *(f"less {LABELS[name]}" for name in names)]
    head += [f"macro, less {LABELS[name]}" for name in names]
    return [
        head,
        *(
            [label(row)]
            + [gap(row, name, row.differences[name]) for name in names]
            + [gap(row, name, row.macro_differences[name]) for name in names]
            for row in ordered(found)
            if row.kind == "router"
        ),
    ]


def peer_differences(found: SetReport) -> list[list[str]]:
    """Return what each router gains on each peer, in points; nothing without peers."""
    routers = [row for row in ordered(found) if row.kind == "router"]
    head = ["less the peer", *(row.name for row in routers)]
    head += [f"macro, {row.name}" for row in routers]
    rows = [
        [row.name]
        + [gap(ours, row.name, ours.differences[row.name]) for ours in routers]
        + [gap(ours, row.name, ours.macro_differences[row.name]) for ours in routers]
        for row in ordered(found)
        if row.kind == "peer"
    ]
    return [head, *rows] if rows else []


def group_table(found: SetReport) -> list[list[str]]:
    """Return macro accuracy by the set's own groups, the header first; nothing without groups."""
    names = list(found.contenders[0].groups)
    if not names:
        return []
    table = LABELS[base.TASK_TABLE]
    head = ["macro accuracy %", *names, *(f"{name}, less {table}" for name in names)]
    rows = []
    for row in ordered(found):
        gaps = [row.group_differences[name].get(base.TASK_TABLE) for name in names]
        cells = [shares(row.groups[name]) for name in names]
        cells += ["-" if each is None else gap(row, base.TASK_TABLE, each) for each in gaps]
        rows.append([label(row), *cells])
    return [head, *rows]


def robustness_table(found: SetReport) -> list[list[str]]:
    """Return what paraphrasing changes, the header first; nothing without paraphrases."""
    rows = [
        [label(row), percent(r.same_choice), f"{100 * r.score_change:+.1f}", str(r.paraphrases)]
        for row in ordered(found)
        if row.kind != "oracle" and (r := row.robustness) is not None
    ]
    return [["paraphrased", "same choice", "score change", "pairs"], *rows] if rows else []


def overview(report: RoutingReport) -> list[list[str]]:
    """Return a line a set for the headline router; nothing for a single set."""
    names = (base.BEST_SINGLE, base.TASK_TABLE, base.TUNED_KNN)
    head = ["accuracy %", report.headline, *(LABELS[name] for name in names), LABELS[base.ORACLE]]
    head += [f"less {LABELS[name]}" for name in names]
    rows = []
    for found in report.sets:
        router = found.contender(report.headline, "router")
        others = [found.contender(name, "baseline") for name in names]
        shown = [router, *others, found.contender(base.ORACLE, "oracle")]
        cells = [f"{100 * row.accuracy.estimate:.2f}" for row in shown]
        cells += [gap(router, name, router.differences[name]) for name in names]
        rows.append([found.name, *cells])
    return [head, *rows] if len(rows) > 1 else []


def verdict(found: SetReport, router: Contender) -> str:
    """Say in a sentence how a router compares."""
    against = "; ".join(
        _against(router, name) for name in (base.TUNED_KNN, base.TASK_TABLE, base.BEST_SINGLE)
    )
    return f"'{router.name}' scores {percent(router.accuracy.estimate)}: {against}."


def _against(router: Contender, name: str) -> str:
    if name in router.same_choices:
        return f"the {SAME} as the {LABELS[name]}"
    found = router.differences[name]
    chance = "" if found.excludes(0) else ", which may be chance"
    return f"{points(found).rstrip('*')} points against the {LABELS[name]}{chance}"


def mean_table(report: RoutingReport) -> list[list[str]]:
    """Return each router's mean differences over all sets; nothing for a single set."""
    if not report.means:
        return []
    names = (base.BEST_SINGLE, base.TASK_TABLE, base.TUNED_KNN)
    head = [f"mean of {len(report.sets)} sets", *(f"less {LABELS[name]}" for name in names)]
    rows = [[m.router, *(points(m.differences[name]) for name in names)] for m in report.means]
    return [head, *rows]


def peer_means(report: RoutingReport) -> list[list[str]]:
    """Return each router's mean gain on the peers that are in all sets; nothing without any."""
    shown = {name for found in report.sets for name in (row.name for row in found.peers)}
    names = [n for m in report.means[:1] for n in m.differences if n in shown]
    head = [f"mean of {len(report.sets)} sets, less", *(m.router for m in report.means)]
    rows = [[name, *(points(m.differences[name]) for m in report.means)] for name in names]
    return [head, *rows] if rows else []


def heading(found: SetReport) -> str:
    """Say what was judged."""
    folds = "" if found.folds == 1 else f", {found.folds} folds"
    return (
        f"{found.name}: {len(found.models)} models, {found.train_prompts} prompts to learn from, "
        f"{found.test_prompts} judged in {len(found.tasks)} tasks{folds}"
    )


def remarks(found: SetReport) -> list[str]:
    """Say what a reader has to know before believing a number."""
    lines = [f"costs: {found.cost_source}"]
    if found.zero_router_aiq is not None:
        lines.append(
            f"APGR and CPT: {found.strong} (strong) against {found.weak} (weak); AIQ of mixing "
            f"single models by chance {found.zero_router_aiq:.3f}"
        )
    lines += found.notes
    if found.unseen_tasks and found.folds == 1:
        lines.append(f"tasks nobody was trained on: {', '.join(found.unseen_tasks)}")
    return lines


def alarms(found: SetReport) -> list[str]:
    """Name the routers that send nearly everything to one model, a line a model."""
    sent: dict[str, list[str]] = {}
    for row in found.routers:
        if row.spread is not None and row.spread.collapsed:
            share = f"'{row.name}' {percent(row.spread.top_share)}"
            sent.setdefault(row.spread.top_expert, []).append(share)
    return [f"collapse: to '{model}' go {', '.join(shares)}" for model, shares in sent.items()]


def shares(found: Interval) -> str:
    """Write a share and its interval in percent."""
    return f"{100 * found.estimate:.2f} [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def gap(row: Contender, other: str, found: Interval) -> str:
    """Write a row's difference from another; in words where both chose the same throughout."""
    return SAME if other in row.same_choices else points(found)


def points(found: Interval) -> str:
    """Write a difference in points; a star where its interval excludes zero."""
    star = "*" if found.excludes(0) else ""
    low, high = 100 * found.low, 100 * found.high
    return f"{100 * found.estimate:+.2f} [{low:+.2f}, {high:+.2f}]{star}"


def percent(value: float) -> str:
    """Write a share as a percentage."""
    return f"{100 * value + 0.0:.1f} %"


def within(found: Interval | None, *, scale: float = 1, digits: int = 3) -> str:
    """Write a number and its interval, or a dash where it is not defined."""
    if found is None:
        return "-"
    estimate, low, high = (
        f"{scale * value:.{digits}f}" for value in (found.estimate, found.low, found.high)
    )
    return f"{estimate} [{low}, {high}]"


def number(value: float | None, *, digits: int = 3) -> str:
    """Write a number, or a dash where it is not defined."""
    return "-" if value is None else f"{value:.{digits}f}"


def skills(found: LiveReport) -> list[list[str]]:
    """Return a live pool's accuracies by task and expert, the header first."""
    names = list(next(iter(found.skills.values())))
    rows = [[task, *(shares(row[name]) for name in names)] for task, row in found.skills.items()]
    return [["accuracy %", *names], *rows]


def live_verdict(found: LiveReport) -> str:
    """Say in words how a live pool's router did."""
    rows = {row.name: percent(row.accuracy.estimate) for row in found.routing.sets[0].contenders}
    words = (
        f"The router answers {rows[found.routing.headline]} right, the best single expert, picked "
        f"on these very prompts, {rows[base.HINDSIGHT]}, the oracle {rows[base.ORACLE]}."
    )
    gap = found.gap_closed
    if gap is None:
        words += " The best single expert equals the oracle: there is no gap to close."
    else:
        closed = f"{percent(gap.estimate)} [{100 * gap.low:.1f}, {100 * gap.high:.1f}]"
        words += f" It closes {closed} of the gap from the best single expert to the oracle."
    if found.chat is not None:
        words += (
            f" To the generalist go {shares(found.chat.share)} % of {found.chat.prompts} prompts "
            f"of {found.chat.source}."
        )
    return words


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Return a table, the header first, as Markdown."""
    lines = [rows[0], ["---", *["---:"] * (len(rows[0]) - 1)], *rows[1:]]
    cells = (" | ".join(cell.replace("|", "\\|") for cell in line) for line in lines)
    return "\n".join(f"| {line} |" for line in cells) + "\n"
