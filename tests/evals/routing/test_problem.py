"""From folders to arrays: what is matched, left out, and said about it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from collegium.errors import SetupError
from collegium.evals.core.data import RoutingData
from collegium.evals.routing.problem import (
    build,
    read_problem,
    read_two,
    read_whole,
    taught_by_fewer,
)
from tests.evals.routing.worlds import MODELS, save, world


def labelled(data: RoutingData, **columns: object) -> RoutingData:
    """Add labels, each the same for all prompts or a column."""
    count = len(data.prompts)
    more = {n: c if isinstance(c, tuple) else (c,) * count for n, c in columns.items()}
    return replace(data, labels={**data.labels, **more})


def test_a_folder_is_split_by_hash_or_by_label(tmp_path: Path) -> None:
    """The label counts only where it names both parts."""
    data = world(50)
    by_hash = read_problem(save(labelled(data, split="train"), tmp_path / "a"))
    assert len(by_hash.train_rows) + len(by_hash.test_rows) == 150
    assert 30 <= len(by_hash.test_rows) <= 60
    split = tuple("test" if i % 5 == 0 else "train" for i in range(150))
    by_label = read_problem(save(labelled(data, split=split), tmp_path / "b"))
    assert by_label.test_rows.tolist() == list(range(0, 150, 5))


def test_two_folders_are_matched_by_the_models_names(tmp_path: Path) -> None:
    """Order does not matter; models of one side only are named and left out."""
    train, test = world(20), world(10, seed=1)
    order = [2, 0]
    other = replace(
        test, models=(*(MODELS[i] for i in order), "extra"), scores=test.scores[:, [*order, 1]]
    )
    problem = read_two(save(train, tmp_path / "train"), save(other, tmp_path / "test"))
    assert problem.models == ("sums-7b", "all-70b")
    assert problem.train_rows.tolist() == list(range(60))
    np.testing.assert_array_equal(problem.scores[60:], test.scores[:, [0, 2]])
    notes = " ".join(problem.notes)
    assert "verse-13b" in notes
    assert "extra" in notes


def test_a_split_label_is_ignored_between_two_folders(tmp_path: Path) -> None:
    """All of the first is learnt from, all of the second is judged."""
    split = tuple("test" if i % 2 else "train" for i in range(30))
    folder = save(labelled(world(10), split=split), tmp_path / "train")
    problem = read_two(folder, save(labelled(world(10, seed=1), split=split), tmp_path / "test"))
    assert (len(problem.train_rows), len(problem.test_rows)) == (30, 30)


def test_strangers_have_nothing_to_compare(tmp_path: Path) -> None:
    """Without a common model the error lists both sides."""
    other = replace(world(5), models=("x", "y", "z"))
    with pytest.raises(SetupError, match=r"no model in common: sums-7b.* against x, y, z"):
        read_two(save(world(5), tmp_path / "a"), save(other, tmp_path / "b"))


def test_prices_of_one_folder_hold_for_both(tmp_path: Path) -> None:
    """A test part may come without the file."""
    prices = {name: {"input_price": 1, "output_price": 1} for name in MODELS}
    text = str(prices).replace("'", '"')
    train = save(world(10), tmp_path / "a", {"model_prices.json": text})
    problem = read_two(train, save(world(10, seed=1), tmp_path / "b"))
    assert "list prices" in problem.cost_source


def test_a_pool_keeps_its_models_and_knows_the_others(tmp_path: Path) -> None:
    """A wrong name is answered with the right ones."""
    folder = save(world(20), tmp_path / "a")
    assert read_problem(folder, pool=["all-70b", "sums-7b"]).models == ("sums-7b", "all-70b")
    with pytest.raises(SetupError, match=r"no outcomes of gpt; it has those of sums-7b, verse"):
        read_problem(folder, pool=["gpt"])


def test_contaminated_prompts_are_learnt_from_but_not_judged() -> None:
    """As RouteLLM's authors do."""
    training = np.arange(60) < 40
    marked = tuple(int(i in (3, 45, 50)) for i in range(60))
    problem = build(labelled(world(20), contaminated=marked), training)
    assert problem.train_rows.tolist() == list(range(40))
    assert sorted(set(range(40, 60)) - set(problem.test_rows.tolist())) == [45, 50]
    assert "2 contaminated prompts are not judged" in problem.notes


def test_prompts_and_models_without_outcomes_are_left_out() -> None:
    """A model that was measured on judged prompts only can't have been learnt."""
    data = world(20)
    data.scores[5] = np.nan
    data.scores[:40, 1] = np.nan
    problem = build(data, np.arange(60) < 40)
    assert problem.models == ("sums-7b", "all-70b")
    assert 5 not in problem.train_rows
    assert "models without an outcome to learn from: verse-13b" in problem.notes


def test_missing_cells_are_counted() -> None:
    """They narrow the choice, so a reader has to know."""
    data = world(20)
    data.scores[50:, 0] = np.nan
    notes = build(data, np.arange(60) < 40).notes
    assert "10 cells to judge are not measured: nobody may choose them" in notes


def test_a_task_is_the_first_label_that_tells_prompts_apart() -> None:
    """A label that is the same for all names no task; without any, one task holds all."""
    domains = tuple(f"d{i % 4}" for i in range(60))
    constant = replace(world(20), labels={"task": ("mmlu",) * 60, "domain": domains})
    assert set(build(constant, np.arange(60) < 40).tasks) == {"d0", "d1", "d2", "d3"}
    bare = replace(world(20), labels={})
    assert set(build(bare, np.arange(60) < 40).tasks) == {"unlabelled"}


def test_fewer_prompts_teach() -> None:
    """As many as were asked for, the same for the same seed; judged prompts stay."""
    problem = build(world(20), np.arange(60) < 40)
    few = taught_by_fewer(problem, 15, seed=1)
    assert len(few.train_rows) == 15
    assert set(few.train_rows) <= set(problem.train_rows)
    assert few.test_rows.tolist() == problem.test_rows.tolist()
    assert few.train_rows.tolist() == taught_by_fewer(problem, 15, seed=1).train_rows.tolist()
    assert few.train_rows.tolist() != taught_by_fewer(problem, 15, seed=2).train_rows.tolist()
    assert taught_by_fewer(problem, 99).train_rows.tolist() == list(range(40))


def test_too_few_prompts_to_know_a_model_are_refused() -> None:
    """A column without any outcome can't be learnt."""
    data = world(20)
    data.scores[1:40, 0] = np.nan
    with pytest.raises(SetupError, match="--train-size 2 leaves a model without"):
        taught_by_fewer(build(data, np.arange(60) < 40), 2, seed=1)


def test_leaving_domains_out_needs_domains() -> None:
    """The error names the labels that would do."""
    with pytest.raises(SetupError, match="none of domain, category"):
        build(world(20), None, left_out="domain")
    problem = build(world(20), None, left_out="task")
    assert [fold.name for fold in problem.folds] == ["law", "maths", "poems"]


def test_a_prompt_that_is_also_learnt_from_is_not_judged() -> None:
    """The same text on both sides flatters every router; blanks make no other text."""
    data = world(20)
    data = replace(data, prompts=(*data.prompts[:59], f" {data.prompts[0]}\n"))
    problem = build(data, np.arange(60) < 40)
    assert problem.test_rows.tolist() == list(range(40, 59))
    assert problem.dropped == 1
    assert "1 prompts are not judged: their text is also learnt from" in problem.notes


def test_a_set_can_not_judge_what_it_taught(tmp_path: Path) -> None:
    """Nothing is left of the same folder twice."""
    folder = save(world(5), tmp_path / "a")
    with pytest.raises(SetupError, match="nothing is left to judge"):
        read_two(folder, folder)


def test_a_whole_set_is_judged_in_parts(tmp_path: Path) -> None:
    """Its labelled split does not count; what learns anew never sees the part that it judges."""
    split = tuple("test" if i % 2 else "train" for i in range(60))
    problem = read_whole(save(labelled(world(20), split=split), tmp_path / "a"))
    assert problem.test_rows.tolist() == list(range(60))
    assert len(problem.folds) == 5
    for fold in problem.folds:
        assert sorted([*fold.train, *fold.test]) == list(range(60))
