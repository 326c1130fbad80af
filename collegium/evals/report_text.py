"""A pool's report in words and Markdown: the verdict, and the tables of the README."""

from collections.abc import Iterable, Sequence

from collegium.evals.bootstrap import Interval
from collegium.evals.pool_report import PoolReport, Row

LABELS = {
    "random": "random expert",
    "task_table": "task table",
    "router": "Collegium's router",
    "oracle": "oracle",
}


def markdown_table(report: PoolReport) -> str:
    """Return the README's tables: specialists beside the generalist, then the routing rows."""
    parts = []
    if report.specialists:
        head = ["task", "specialist", "generalist", "difference (95 % interval)", "prompts"]
        parts.append(_markdown(head, specialist_cells(report)))
    rows = [[name, percent(r.accuracy), limits(r)] for name, r in ordered_rows(report)]
    parts.append(_markdown(["answered by", "accuracy", "95 % interval"], rows))
    return "\n\n".join((*parts, verdict(report))) + "\n"


def verdict(report: PoolReport) -> str:
    """Say in words what was found, and whether it could be chance."""
    right, prompts = percent(report.router.accuracy), report.provenance.counts["prompts"]
    single = f"the best single expert, '{report.best_single_expert}'"
    sentences = [
        f"The router answers {right} of {prompts} prompts right.",
        _against(report.intervals["router_minus_best_single"], single),
        _against(report.intervals["router_minus_task_table"], "the task table"),
    ]
    gap = report.intervals["gap_closed"]
    if gap is None:
        sentences.append("The best single expert equals the oracle: there is no gap to close.")
    else:
        closed = f"{percent(gap.estimate)} {limits(gap)}"
        sentences.append(
            f"It closes {closed} of the gap between the best single expert and the oracle."
        )
    return " ".join(sentences)


def _against(difference: Interval | None, other: str) -> str:
    assert difference is not None  # a difference of means is always defined
    chance = "" if difference.excludes(0) else ", which may be chance"
    return f"Against {other}, that is {points(difference)}{chance}."


def percent(value: float) -> str:
    """Write a share as a percentage."""
    return f"{100 * value + 0.0:.1f} %"


def points(found: Interval) -> str:
    """Write a difference of accuracies in points, with its interval."""
    return f"{100 * found.estimate:+.1f} points [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"


def limits(row: Row | Interval) -> str:
    """Write an interval of shares in percent."""
    return f"[{100 * row.low:.1f}, {100 * row.high:.1f}]"


def ordered_rows(report: PoolReport) -> list[tuple[str, Row]]:
    """Name the rows for people: the bound, routers, baselines, then experts from best to worst."""
    order = {"oracle": 0, "router": 1, "baseline": 2, "expert": 3}
    rows = sorted(report.rows, key=lambda row: (order[row.kind], -row.accuracy))
    return [(_label(report, row), row) for row in rows]


def _label(report: PoolReport, row: Row) -> str:
    if row.kind != "expert":
        return LABELS.get(row.name, row.name)
    return f"{row.name} alone" + (", the best single" * (row == report.best_single))


def specialist_cells(report: PoolReport) -> list[list[str]]:
    """Write the specialists beside the generalist, a line a task."""
    return [
        [
            each.task,
            f"{percent(each.accuracy.estimate)} {limits(each.accuracy)}",
            f"{percent(each.generalist_accuracy.estimate)} {limits(each.generalist_accuracy)}",
            points(each.difference),
            str(each.prompts),
        ]
        for each in report.specialists
    ]


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    table = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    lines = (" | ".join(cell.replace("|", "\\|") for cell in row) for row in table)
    return "\n".join(f"| {line} |" for line in lines)
