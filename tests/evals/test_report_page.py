"""The page for people and the tables of the README: complete, escaped, self-contained."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from collegium.evals.outcomes import Outcomes
from collegium.evals.pool import chat_share, evaluate
from collegium.evals.pool_report import PoolReport
from collegium.evals.report import html_page
from collegium.evals.report_text import markdown_table, verdict
from collegium.experts.specialists.tasks.base import Example

HOSTILE = "a$b$ <script>alert('x')</script> --> & \"q\" | \\"
EXPERTS = ("sums", "general", HOSTILE)
TASKS = ["sums"] * 20 + [HOSTILE] * 20
VOID = {"meta", "link", "br", "img", "input"}


def outcomes() -> Outcomes:
    """Two specialists, one of them with a name that tries to break out of the page."""
    scores = np.zeros((40, 3))
    scores[:18, 0] = scores[20:39, 2] = scores[::5, 1] = 1
    examples = tuple(Example(f"p{n}", task, "t", f"q{n}", "") for n, task in enumerate(TASKS))
    ones = np.ones_like(scores)
    return Outcomes(examples, EXPERTS, scores, ones, ones, ones, ("test",) * 40)


@pytest.fixture(scope="module")
def report() -> PoolReport:
    """Return a report with every part filled in."""
    pool = outcomes()
    return evaluate(
        pool,
        {"router": np.repeat([0, 2], 20), "always general": np.ones(40, dtype=np.int64)},
        validation=pool,
        forecasts=np.clip(pool.scores, 0.1, 0.9),
        overhead_ms=np.full(40, 2.5),
        generalist="general",
        chat=chat_share(["general"] * 9 + ["sums"], "general", "ten <chat> prompts"),
        command="collegium eval pool --name '<i>'",
        resamples=200,
    )


@pytest.fixture(scope="module")
def page(report: PoolReport) -> str:
    """Return its page."""
    return html_page(report)


class Reader(HTMLParser):
    """Read a page: its text, its ids and addresses, and whether its elements close."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.tags.add(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]
        addresses = {"src", "href", "xlink:href", "srcset", "action", "data"}
        self.links += [value or "" for name, value in attrs if name in addresses]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element that closes itself."""
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        """Check that the innermost element closes."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Keep the text."""
        self.texts.append(data.strip())


def test_every_element_of_the_page_closes(page: str) -> None:
    """The page is well formed, figures included."""
    reader = Reader(page)
    assert reader.open == []
    assert {"table", "svg", "figure"} <= reader.tags


def test_the_page_asks_for_nothing_and_runs_nothing(page: str) -> None:
    """No script, no address that leaves the page: it can be mailed and archived."""
    reader = Reader(page)
    assert not {"script", "link", "iframe", "img", "object", "base"} & reader.tags
    assert all(link.startswith("#") for link in reader.links)
    assert not re.search(r"https?:|//\w|@import|url\((?!#)|\son\w+=", page)


def test_names_are_escaped_everywhere(page: str) -> None:
    """A hostile name is shown as it is, in tables and in every figure."""
    assert "<script" not in page
    assert "<i>" not in page.replace('<i style="', "")
    assert "<chat>" not in page
    texts = Reader(page).texts
    assert texts.count(HOSTILE) >= 5  # two heat maps twice, bars and shares
    assert any("'<i>'" in text for text in texts)


def test_ids_of_the_figures_do_not_clash(page: str) -> None:
    """Each id is used once, and each reference inside a figure finds its own."""
    reader = Reader(page)
    assert len(reader.ids) == len(set(reader.ids))
    used = {link[1:] for link in reader.links} | set(re.findall(r"url\(#([^)]+)\)", page))
    assert used <= set(reader.ids)


def test_figures_follow_the_theme(page: str) -> None:
    """Their colours are the page's variables, so that dark mode reaches them."""
    figures = "".join(re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL))
    colours = set(re.findall(r"(?:fill|stroke): ([^;\"]+)", figures))
    assert "var(--accent)" in colours
    assert {c for c in colours if not c.startswith("var(")} <= {"none"}
    assert set(re.findall(r"var\((--\w+)\)", figures)) <= set(re.findall(r"(--\w+):", page))
    assert "prefers-color-scheme: dark" in page


def test_the_page_shows_the_numbers(page: str, report: PoolReport) -> None:
    """Headline, intervals, calibration, overhead, chat and provenance are all there."""
    text = " ".join(Reader(page).texts)
    for shown in (
        "92.5 %",  # router
        "47.5 %",  # the best expert alone
        "task table",
        "always general",
        "2.50 ms a prompt",
        "ECE",
        "90.0 %",
        "ten <chat> prompts",
        "numpy",
        report.provenance.date,
    ):
        assert shown in text
    assert verdict(report) in text


def test_a_bare_report_still_makes_a_page() -> None:
    """Without forecasts, generalist, chat and overhead the other parts remain."""
    found = evaluate(outcomes(), {"router": np.zeros(40, dtype=np.int64)}, resamples=50)
    page = html_page(found)
    assert Reader(page).open == []
    assert "Specialists on their own task" not in page
    assert "not recorded" in page


def test_alarms_are_shown(page: str, report: PoolReport) -> None:
    """A collapsed router, prompts left out and a missing gap are said aloud."""
    counts = {**report.provenance.counts, "left_out": 3}
    found = evaluate(outcomes(), {"router": np.zeros(40, dtype=np.int64)}, resamples=50)
    no_gap = {**found.intervals, "gap_closed": None}
    alarming = html_page(
        replace(found, intervals=no_gap, provenance=replace(found.provenance, counts=counts))
    )
    for alarm in ("sends 100.0 % of all prompts", "3 prompts are left out", "none to close"):
        assert alarm in alarming
        assert alarm not in page


def test_the_readme_tables_are_markdown(report: PoolReport) -> None:
    """Specialists first, then the rows of routing; bars in names do not add columns."""
    first, second, said = markdown_table(report).strip().split("\n\n")
    assert first.splitlines()[0] == (
        "| task | specialist | generalist | difference (95 % interval) | prompts |"
    )
    assert "| sums | 90.0 % [" in first
    assert "+70.0 points [" in first
    assert "| Collegium's router | 92.5 % | [" in second
    for table, columns in ((first, 5), (second, 3)):
        for line in table.splitlines():
            assert len(re.findall(r"(?<!\\)\|", line)) == columns + 1
    assert said == verdict(report)


def test_the_verdict_does_not_oversell(report: PoolReport) -> None:
    """A difference within chance is called that, and a missing gap is not invented."""
    assert "chance" not in verdict(report).split("task table")[0]
    same = evaluate(outcomes(), {"router": np.full(40, 2)}, resamples=50)
    assert "'a$b$" in verdict(same)
    assert "may be chance" in verdict(same)
    none = replace(report, intervals={**report.intervals, "gap_closed": None})
    assert "no gap to close" in verdict(none)


def test_drawing_leaves_matplotlib_as_it_was(page: str, report: PoolReport) -> None:
    """Our style is ours alone, and the same report gives the same page."""
    import matplotlib

    before = dict(matplotlib.rcParams)
    assert html_page(report) == page
    assert dict(matplotlib.rcParams) == before
