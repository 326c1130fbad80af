"""Outcomes of a pool: written and read back without loss."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collegium.errors import SetupError
from collegium.evals.data import load_set
from collegium.evals.outcomes import Failure, Outcomes, join
from collegium.experts.specialists.tasks.base import Example

EXAMPLES = (
    Example("a1", "add", "{x}+{y}?", "1+1?", "2"),
    Example("a2", "add", "{x}+{y}?", "1+2?", "3"),
    Example("s1", "sql", "Count {t}", "Count cats", "SELECT …"),
)


def outcomes(experts: tuple[str, ...] = ("plus", "sql")) -> Outcomes:
    """Three prompts, some of them without an answer."""
    scores = np.array([[1.0, 0.0], [1.0, np.nan], [0.0, 1.0]])[:, : len(experts)]
    splits = ("test", "test", "validation")
    return Outcomes(EXAMPLES, experts, scores, scores / 3, scores * 7, scores * 5, splits)


def same(first: Outcomes, second: Outcomes) -> bool:
    """Compare all but the failures, NaN equal to NaN."""
    fields = ("scores", "latency_s", "prompt_tokens", "completion_tokens")
    return (first.prompts, first.experts, first.splits) == (
        second.prompts,
        second.experts,
        second.splits,
    ) and all(
        np.array_equal(getattr(first, field), getattr(second, field), equal_nan=True)
        for field in fields
    )


def test_a_saved_set_reads_back_the_same(tmp_path: Path) -> None:
    """Prompts, labels, scores, tokens and latencies survive; a missing cell stays missing."""
    outcomes().save(tmp_path / "set")
    assert same(Outcomes.load(tmp_path / "set"), outcomes())


def test_a_saved_set_has_the_shared_format(tmp_path: Path) -> None:
    """The reader of the shared sets reads it, with its labels."""
    outcomes().save(tmp_path)
    data = load_set(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "outcomes.csv.gz",
        "prompts.jsonl.gz",
    ]
    assert data.labels["task"] == ("add", "add", "sql")
    assert data.labels["split"] == ("test", "test", "validation")
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
    before = Outcomes(
        examples, tuple(experts), scores, scores, scores, scores, ("test",) * len(rows)
    )
    folder = tmp_path_factory.mktemp("set")
    before.save(folder)
    assert same(Outcomes.load(folder), before)


def test_a_shared_set_with_tasks_is_a_pool_too(shared_data: Path) -> None:
    """A recorded benchmark can be evaluated like a pool of our own."""
    pool = Outcomes.load(shared_data / "routerbench3")
    assert pool.scores.shape == (2205, 11)
    assert set(pool.splits) == {"train"}
    assert len(set(pool.tasks)) == 3


def test_a_set_without_tasks_is_refused(shared_data: Path) -> None:
    """The error names the label that is missing."""
    with pytest.raises(SetupError, match="need the label 'task'"):
        Outcomes.load(shared_data / "alpacaeval2")


def test_splits_can_be_taken_apart_and_joined() -> None:
    """`only` keeps the prompts of a split; `join` puts splits under one another."""
    whole = outcomes()
    parts = [whole.only("test"), whole.only("validation")]
    assert [len(part.prompts) for part in parts] == [2, 1]
    assert same(join(parts), whole)
    with pytest.raises(ValueError, match="same experts"):
        join([whole, outcomes(("plus",))])


def test_completeness_is_known_for_each_prompt() -> None:
    """A prompt is complete where every expert answered."""
    assert outcomes().complete.tolist() == [True, False, True]


def test_missing_answers_are_an_error_where_all_are_needed() -> None:
    """The error counts them and quotes the first failure."""
    whole = outcomes()
    failed = Outcomes(
        whole.prompts,
        whole.experts,
        whole.scores,
        whole.latency_s,
        whole.prompt_tokens,
        whole.completion_tokens,
        whole.splits,
        (Failure("a2", "sql", "expert 'sql': no answer in time"),),
    )
    with pytest.raises(SetupError, match="1 of 6 answers are missing; the first: expert 'sql'"):
        failed.require_complete()
    whole.rows([0, 2]).require_complete()
    assert failed.rows([0, 2]).failures == ()


def test_names_of_chosen_experts_become_columns() -> None:
    """A router speaks in names, the evaluation in columns; a stranger is an error."""
    assert outcomes().indices(["sql", "plus", "sql"]).tolist() == [1, 0, 1]
    with pytest.raises(ValueError, match="no outcomes of poet"):
        outcomes().indices(["poet"])


def test_tables_must_fit_and_ids_differ() -> None:
    """A table of another shape, or a prompt twice, is a mistake of the caller."""
    ones = np.ones((2, 1))
    with pytest.raises(ValueError, match="2 prompts by 2 experts"):
        Outcomes(EXAMPLES[:2], ("a", "b"), ones, ones, ones, ones, ("test",) * 2)
    with pytest.raises(ValueError, match="appears twice"):
        Outcomes(EXAMPLES[:1] * 2, ("a",), ones, ones, ones, ones, ("test",) * 2)
