"""Results as text: a table, and one line per world."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from collegium.evals.studies.adoption.rows import CURVE, Row

HEAD = (
    *("WORLD", "REPLAYS", "MARKS", "POLICY", "ACCURACY", "AGAINST BEST"),
    *("$/1K", "SAVED", "95 %", "OF TABLE", "VIOLATIONS"),
)


def cells(row: Row) -> tuple[str, ...]:
    """A row of the table; what is not known is empty."""
    low, high = row.saved_interval
    return (
        name(row),
        str(row.replays),
        row.labels,
        row.policy,
        f"{row.accuracy:.3f}",
        f"{100 * (row.accuracy - row.best_single_accuracy):+.2f}",
        f"{row.usd_per_1k:.2f}",
        f"{row.saved:.0%}",
        "" if low != low else f"[{low:.0%}, {high:.0%}]",
        "" if row.share != row.share else f"{row.share:.0%}",
        "" if row.violations != row.violations else f"{row.violations:.0%}",
    )


def name(row: Row) -> str:
    """The world; whether its applications are visible where the name does not say so."""
    hidden = not row.applications and row.world != "anonymous"
    return row.world + (", anonymous" if hidden else "")


def references(rows: Sequence[Row]) -> Iterator[str]:
    """A line for each world with other reference values: what there is without a router."""
    told: dict[str, list[str]] = {}
    for row in rows:
        if row.policy == CURVE:
            worlds = told.setdefault(_reference(row), [])
            if name(row) not in worlds:
                worlds.append(name(row))
    for line, worlds in told.items():
        yield f"{', '.join(worlds)}: {line}"


def _reference(row: Row) -> str:
    found = row.further["reference"]
    single, random, oracle = (found[key] for key in ("best_single", "random", "oracle"))
    return (
        f"best single expert {single['name']} {_at(single)}; random {_at(random)}; "
        f"oracle {_at(oracle)}; table by true task saves {row.table_saved:.0%}"
    )


def _at(point: dict[str, float]) -> str:
    return f"{point['accuracy']:.3f} at ${point['usd_per_1k']:.2f}"
