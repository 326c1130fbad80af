"""Outcomes of a pool: written and read back without loss."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collegium.errors import SetupError
from collegium.evals.core.data import load_set
from collegium.evals.tasks.base import Example
from collegium.evals.tasks.outcomes import Failure, Outcomes

EXAMPLES = (
    Example("a1", "add", "{x}+{y}?", "1+1?", "2"),
    Example("a2", "add", "{x}+{y}?", "1+2?", "3"),
    Example("s1", "sql", "Count {t}", "Count cats", "SELECT …"),
)


def outcomes(failures: tuple[Failure, ...] = ()) -> Outcomes:
    """Three prompts, some of them without an answer."""
    scores = np.array([[1.0, 0.0], [1.0, np.nan], [0.0, 1.0]])
    tables = np.stack([scores, scores / 3, scores * 7, scores * 5])
    return Outcomes.of(EXAMPLES, ("plus", "sql"), tables, "validation", failures)


def reads_back(folder: Path, written: Outcomes) -> bool:
    """Whether the reader of the shared sets finds what was written, NaN equal to NaN."""
    found, nothing = load_set(folder), np.full(written.scores.shape, np.nan)
    return (
        (found.prompt_ids, found.prompts, found.models, found.labels)
        == (written.prompt_ids, written.prompts, written.models, written.labels)
        and np.array_equal(found.scores, written.scores, equal_nan=True)
        and all(
            np.array_equal(found.extras.get(name, nothing), table, equal_nan=True)
            for name, table in written.extras.items()
        )
    )


def test_a_saved_set_reads_back_the_same(tmp_path: Path) -> None:
    """Prompts, labels, scores, tokens and latencies survive; a missing cell stays missing."""
    outcomes().save(tmp_path / "set")
    assert reads_back(tmp_path / "set", outcomes())


def test_a_saved_set_has_the_shared_format(tmp_path: Path) -> None:
    """The reader of the shared sets reads it, with its labels."""
    outcomes().save(tmp_path)
    data = load_set(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "outcomes.csv.gz",
        "prompts.jsonl.gz",
    ]
    assert data.labels["task"] == ("add", "add", "sql")
    assert data.labels["split"] == ("validation",) * 3
    assert set(data.extras) == {"in_tokens", "out_tokens", "latency_s"}


def test_saving_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    """No date and no path go into the files."""
    for name in ("one", "two"):
        outcomes().save(tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


texts = st.text(max_size=20)
cells = st.one_of(st.just(np.nan), st.floats(0, 1))


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(st.tuples(texts, texts, texts, cells, cells), min_size=1, max_size=6),
    experts=st.lists(
        st.text("ab,\"' é/.-", min_size=1, max_size=8), min_size=2, max_size=2, unique=True
    ),
)
def test_any_text_and_any_score_survives(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str, str, float, float]],
    experts: list[str],
) -> None:
    """Line ends, quotes, commas and any Unicode in prompts, and any float, come back."""
    examples = tuple(
        Example(f"p{number}", task, template, prompt, template)
        for number, (task, template, prompt, *_) in enumerate(rows)
    )
    scores = np.array([row[3:] for row in rows])
    before = Outcomes.of(examples, experts, np.stack([scores] * 4))
    folder = tmp_path_factory.mktemp("set")
    before.save(folder)
    assert reads_back(folder, before)


def test_missing_answers_are_an_error_where_all_are_needed() -> None:
    """The error counts them and quotes the first failure."""
    failed = outcomes((Failure("a2", "sql", "expert 'sql': no answer in time"),))
    with pytest.raises(SetupError, match="1 of 6 answers are missing; the first: expert 'sql'"):
        failed.require_complete()


def test_names_of_chosen_experts_become_columns() -> None:
    """A router speaks in names, the evaluation in columns; a stranger is an error."""
    assert outcomes().indices(["sql", "plus", "sql"]).tolist() == [1, 0, 1]
    with pytest.raises(ValueError, match="no outcomes of poet"):
        outcomes().indices(["poet"])
