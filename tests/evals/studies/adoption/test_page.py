"""The adoption page and what the command prints: complete, escaped, self-contained."""

from dataclasses import replace

import numpy as np
import pytest

from collegium.evals.studies.adoption.draws import Marking
from collegium.evals.studies.adoption.further import unseen_rows
from collegium.evals.studies.adoption.page import html_page
from collegium.evals.studies.adoption.rows import Row, play
from collegium.evals.studies.adoption.text import HEAD, cells, references
from collegium.evals.studies.adoption.worlds import world
from tests.evals.core.page_reader import HOSTILE, Reader, check_alone
from tests.evals.studies.adoption.sets import WordEncoder, sets


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    """Two numbers of replays, a judge, unseen families, a newcomer with a hostile name."""
    pure = replace(world(sets()), name=HOSTILE)
    encoder = WordEncoder()
    X = encoder.encode(pure.prompts).astype(float)
    found = [row for count in (30, 60) for row in play(pure, X, encoder, count, draws=2)]
    found += play(pure, X, encoder, 60, marking=Marking("judge"), draws=1)
    found += unseen_rows(pure, X, encoder, 60, seed=0, tell=lambda words: None)
    gains = {"full_gain": 1.5, "gain": 0.75, "unmarked_change": -0.25}
    joined = replace(found[-1], world=f"newcomer {HOSTILE}", further=gains)
    return [*found, joined]


@pytest.fixture(scope="module")
def page(rows: list[Row]) -> str:
    """The page."""
    return html_page(rows, True)


def test_the_page_is_well_formed_and_alone(page: str) -> None:
    """Every element closes; no script, no address that leaves the page."""
    check_alone(page)


def test_names_are_escaped(page: str) -> None:
    """A hostile world and newcomer are shown as they are."""
    assert "<script" not in page
    assert Reader(page).texts.count(HOSTILE) >= 5


def test_the_page_has_its_parts(page: str, rows: list[Row]) -> None:
    """Curves, calibration and losses as figures; the others as tables with their numbers."""
    assert page.count("<svg") == 3
    words = " ".join(Reader(page).texts)
    for title in (
        "Accuracy and money",
        "Forecasts",
        "Loss by application",
        "Marks that err",
        "Unseen families",
        "Newcomers",
        "All rows",
        "best single expert",
        "table by true task, all marks",
        "application table, 60 replays",
    ):
        assert title in words
    assert f"60 replays (ECE {rows[5].further['ece']:.3f})" in words
    assert "+1.50" in words
    for line in references(rows):
        assert line in words


@pytest.mark.parametrize(
    ("same", "said"), [(True, "A service decided as"), (False, "A service decided otherwise")]
)
def test_the_page_says_whether_a_service_decided_the_same(
    rows: list[Row], same: bool, said: str
) -> None:
    """And nothing of it where nobody asked one."""
    assert said in html_page(rows, same)
    assert "A service decided" not in html_page(rows, None)


def test_a_page_of_one_part_has_no_others(rows: list[Row]) -> None:
    """Rows of unseen families alone are a page as well."""
    text = html_page([row for row in rows if "coverage_90" in row.further], None)
    assert Reader(text).open == []
    assert "Unseen families" in text
    assert "Accuracy and money" not in text
    assert "Marks that err" not in text


def test_worlds_with_the_same_bar_share_a_line(rows: list[Row]) -> None:
    """One line for each that has another best single expert, random or oracle."""
    hidden = replace(rows[0], applications=False)
    lines = list(references([*rows, hidden]))
    assert len(lines) == 1
    assert lines[0].startswith(f"{HOSTILE}, {HOSTILE}, anonymous: best single expert ")
    assert (
        f"{rows[0].best_single_accuracy:.3f} at ${rows[0].best_single_usd_per_1k:.2f}" in lines[0]
    )


def test_rows_are_printed_in_straight_columns(rows: list[Row]) -> None:
    """What is not known is empty."""
    assert {len(cells(row)) for row in rows} == {len(HEAD)}
    unknown = replace(
        rows[0], saved_interval=(np.nan, np.nan), table_saved=np.nan, violations=np.nan
    )
    assert cells(unknown)[-3:] == ("", "", "")
