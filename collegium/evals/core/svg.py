"""Convert a matplotlib figure to inline SVG with the page's colours and fonts.

matplotlib wants colours when it draws, the page knows them only when it is shown (light or dark).
So a figure is drawn in stand-in colours, which become CSS variables afterwards.
"""

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, LINE, ACCENT, PLAIN = "#010100", "#010101", "#010102", "#010103", "#010104"
VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    LINE: "var(--line)",
    ACCENT: "var(--accent)",
    PLAIN: "var(--plain)",
}
MATPLOTLIB: Mapping[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: it can be read aloud, found and copied
    "text.parse_math": False,  # a name like "a$b$" is no formula
    "text.color": INK,
    "font.size": 9,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.color": LINE,
    "ytick.labelcolor": INK,
}
NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}
# Wide enough for two columns of text at 9 points; the page scales it.
WIDTH_INCHES = 10.0


@contextmanager
def drawing(name: str) -> Iterator[None]:
    """Set matplotlib's style while a figure is drawn; the name makes its ids its own."""
    import matplotlib

    with matplotlib.rc_context({**MATPLOTLIB, "svg.hashsalt": name}):
        yield


def panels(
    rows: int, columns: int, *, height: float, sharey: bool = False
) -> tuple["Figure", "list[Axes]"]:
    """Return a figure of the page's width and its axes, row by row."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharey=sharey)
    return figure, list(axes.flat)


def log_scale(axis: "Axes") -> None:
    """Scale what things cost by factors, with plain numbers: our figures set no formulas."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.xaxis.set_major_formatter(lambda cost, _: f"{cost:g}")
    axis.xaxis.set_minor_formatter(NullFormatter())


def inline_svg(figure: "Figure", name: str, description: str) -> str:
    """Return a figure as an `<svg>` element without ids or colours of other figures."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata=NO_METADATA)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<!--.*?-->|<style.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r" font-family: [^;\"]*;?", "", text)
    text = re.sub(r"((?:fill|stroke): )(#0101\d\d)", _variable, text)
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    box = re.search(r'viewBox="[^"]*"', text)
    label = f'<svg {box.group() if box else ""} role="img" aria-label="{escape(description)}">'
    return label + text[text.index(">") + 1 :].strip()


def _variable(found: re.Match[str]) -> str:
    return found.group(1) + VARIABLES.get(found.group(2), found.group(2))
