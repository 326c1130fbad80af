"""Who is learnt from and who is judged."""

import numpy as np
import pytest

from collegium.errors import SetupError
from collegium.evals.routing.labels import families
from collegium.evals.routing.splits import given_split, hash_split, leave_out, single_fold

IDS = [f"p{i}" for i in range(4000)]


def test_a_hash_keeps_about_seven_in_ten() -> None:
    """Within what chance allows, and another seed splits otherwise."""
    first, second = hash_split(IDS, 0), hash_split(IDS, 1)
    assert abs(first.mean() - 0.7) < 0.03
    assert 0.3 < (first != second).mean() < 0.55


def test_a_prompt_keeps_its_side() -> None:
    """Whatever else the set holds, and in whatever order."""
    whole = dict(zip(IDS, hash_split(IDS, 0), strict=True))
    part = IDS[::-7]
    assert [whole[name] for name in part] == hash_split(part, 0).tolist()


@pytest.mark.parametrize(
    ("labels", "training"),
    [
        (["train", "test", "validation"], [True, False, True]),
        (["train", "train", None], None),
        (["test", "test", "test"], None),
        (None, None),
    ],
)
def test_a_label_counts_where_it_names_both(
    labels: list[str] | None, training: list[bool] | None
) -> None:
    """A set that is all training part is split by hash."""
    found = given_split(labels)
    assert (None if found is None else found.tolist()) == training


@pytest.mark.parametrize("count", [3, 25])
def test_each_name_is_left_out_once(count: int) -> None:
    """All rows are judged exactly once, by a fold that learnt nothing of their name."""
    names = [f"task{i % count}" for i in range(200)]
    every = np.ones(200, dtype=bool)
    folds = leave_out(names, every, every, what="task", seed=0)
    assert len(folds) == min(10, count)
    judged = np.concatenate([fold.test for fold in folds])
    assert sorted(judged.tolist()) == list(range(200))
    for fold in folds:
        assert not {names[row] for row in fold.train} & {names[row] for row in fold.test}


def test_a_split_is_kept_while_leaving_out() -> None:
    """Training rows are not judged then, nor are test rows learnt from."""
    names = ["a", "b"] * 50
    training = np.arange(100) < 60
    for fold in leave_out(names, training, ~training, what="task", seed=0):
        assert training[fold.train].all()
        assert not training[fold.test].any()


def test_nothing_to_leave_out_or_to_judge_is_refused() -> None:
    """The error says which part is empty."""
    every = np.ones(3, dtype=bool)
    with pytest.raises(SetupError, match="--leave-out task needs two"):
        leave_out(["a"] * 3, every, every, what="task", seed=0)
    with pytest.raises(SetupError, match="3 prompts to learn from and 0 to judge"):
        single_fold(every, ~every)


def test_paraphrases_and_equal_texts_are_one_family() -> None:
    """Cross-validation must not find a prompt's answer in its double."""
    found = families(["a", "b", "a", "c"], ["1", "1", "3", "4"])
    assert found[0] == found[1] == found[2] != found[3]
