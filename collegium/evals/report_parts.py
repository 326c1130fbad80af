"""The parts that report pages are made of: document, sections, tables."""

from collections.abc import Iterable, Sequence
from html import escape

from collegium.evals.report_style import STYLE


def document(title: str, body: Iterable[str]) -> str:
    """Return a whole page: no script, no request to anywhere."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{''.join(body)}\n</main>\n</body>\n</html>\n"
    )


def section(title: str, content: str) -> str:
    """Return one card of the page, or nothing where there is no content."""
    return f"<section>\n<h2>{escape(title)}</h2>\n{content}\n</section>\n" if content else ""


def figure(svg: str) -> str:
    """Return a drawing as a figure."""
    return f"<figure>{svg}</figure>"


def line(cells: Sequence[str]) -> str:
    """Return a row of a table; all cells but the first are numbers."""
    first, *others = (escape(cell) for cell in cells)
    numbers = "".join(f'<td class="number">{cell}</td>' for cell in others)
    return f'<tr><th scope="row">{first}</th>{numbers}</tr>'


def html_table(head: Sequence[str], lines: Iterable[str]) -> str:
    """Return a table with its header; `lines` are its rows."""
    first, *others = (escape(title) for title in head)
    cells = f'<th scope="col">{first}</th>' + "".join(
        f'<th scope="col" class="number">{title}</th>' for title in others
    )
    rows = "\n".join(lines)
    return (
        f'<div class="scroll"><table>\n<thead><tr>{cells}</tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody>\n</table></div>"
    )
