"""Adoption worlds: the same for the same seed, judged on what no fit sees, and disturbed ones."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from collegium.errors import SetupError
from collegium.evals.routing.costs import CHARACTERS_A_TOKEN
from collegium.evals.studies.adoption.worlds import EXPERTS, World, disturbed, unseen, world
from tests.evals.studies.adoption.sets import EACH, MODELS, sets


@pytest.fixture(scope="module")
def pure() -> World:
    """A world of both sets."""
    return world(sets())


def test_the_same_seed_gives_the_same_world(pure: World) -> None:
    """And another seed another one."""
    again, other = world(sets()), world(sets(), seed=1)
    assert again.prompts == pure.prompts
    assert again.applications == pure.applications
    for name in ("scores", "output_tokens", "train", "judges"):
        np.testing.assert_array_equal(getattr(again, name), getattr(pure, name))
    assert not np.array_equal(other.judges, pure.judges)


def test_no_prompt_both_teaches_and_judges(pure: World) -> None:
    """Every prompt does one of the two; half of a small world judges."""
    both = np.concatenate([pure.train, pure.judges])
    assert sorted(both) == list(range(4 * EACH))
    assert len(pure.judges) == 2 * EACH


def test_each_expert_plays_a_model_of_each_set(pure: World) -> None:
    """Its scores and tokens are those that were recorded for one model, in the set's order."""
    assert [e.name for e in pure.experts] == list(EXPERTS)
    for data in sets():
        rows = {prompt: row for row, prompt in enumerate(data.prompts)}
        mine = [i for i, prompt in enumerate(pure.prompts) if prompt in rows]
        theirs = [rows[pure.prompts[i]] for i in mine]
        recorded = {
            (*data.scores[theirs, m], *data.extras["out_tokens"][theirs, m])
            for m in range(len(MODELS))
        }
        played = [
            (*pure.scores[mine, e], *pure.output_tokens[mine, e]) for e in range(len(EXPERTS))
        ]
        assert set(played) <= recorded


def test_answers_cost_their_tokens_at_list_price(pure: World) -> None:
    """Prompts count their characters and 150 tokens of the application's own."""
    prompt = len(pure.prompts[7]) / CHARACTERS_A_TOKEN + 150
    for column, (input_price, output_price) in enumerate(EXPERTS.values()):
        expected = (prompt * input_price + pure.output_tokens[7, column] * output_price) / 1e6
        assert pure.usd[7, column] == pytest.approx(expected)


def test_lengths_are_drawn_where_none_are_recorded() -> None:
    """At least one token each, and the scores are the same."""
    drawn = world(sets(tokens=False))
    assert drawn.output_tokens.min() >= 1
    assert len(np.unique(drawn.output_tokens)) > EACH


def test_each_task_is_an_application(pure: World) -> None:
    """In the pure world; the true task names its set."""
    pairs = set(zip(pure.tasks, pure.applications, strict=True))
    assert {task for task, _ in pairs} == {
        "school/maths",
        "school/poems",
        "office/law",
        "office/mail",
    }
    assert len(pairs) == 4


def test_rare_tasks_count_as_one() -> None:
    """Fewer than fifteen prompts are no application of their own."""
    data = sets()[0]
    tasks = (*data.labels["task"][:-20], *["odd"] * 10, *["rare"] * 10)
    assert Counter(world([replace(data, labels={"task": tasks})]).tasks)["school/other"] == 20


def test_an_anonymous_world_differs_in_nothing_else(pure: World) -> None:
    """Nobody says who asks."""
    told = pure.without_applications()
    assert set(told.applications) == {None}
    assert replace(told, name="pure", applications=pure.applications) == pure


def many_tasks() -> World:
    """A world of twenty applications."""
    data = sets(each=200)[0]
    tasks = tuple(f"task-{i % 20:02d}" for i in range(len(data.prompts)))
    return world([replace(data, labels={"task": tasks})])


def test_a_disturbed_world_merges_splits_and_mistakes_applications() -> None:
    """Two fifths are merged in pairs, a fifth are split, a fifth of the traffic is anonymous."""
    before = many_tasks()
    after = disturbed(before)
    assert after.name == "disturbed"
    silent = np.array([name is None for name in after.applications])
    assert silent.mean() == pytest.approx(0.2, abs=0.05)
    names = {name for name in after.applications if name is not None}
    assert len(names) == 20 - 4 + 4
    assert len([name for name in names if name.endswith("x")]) == 4
    homes = [
        Counter(a for a, task in zip(after.applications, after.tasks, strict=True) if task == each)
        for each in set(after.tasks)
    ]
    at_home = sum(
        count
        for home in homes
        for name, count in home.most_common()
        if name is not None and count >= 5
    )
    assert at_home / (~silent).sum() == pytest.approx(0.9, abs=0.05)
    assert disturbed(before).applications == after.applications
    assert disturbed(before, seed=1).applications != after.applications


def test_only_the_applications_are_disturbed() -> None:
    """Prompts, outcomes and who judges stay."""
    before = many_tasks()
    after = disturbed(before)
    assert replace(after, name="pure", applications=before.applications) == before


def test_an_unseen_family_judges_and_never_teaches(pure: World) -> None:
    """All of its prompts judge, and what is left of the others teaches."""
    left_out, inside = unseen(pure, "school")
    assert {pure.tasks[row].split("/")[0] for row in left_out.judges} == {"school"}
    assert {pure.tasks[row].split("/")[0] for row in left_out.train} == {"office"}
    assert inside.sum() == len(left_out.judges) == 2 * EACH
    assert set(left_out.train) <= set(pure.train)


def test_worlds_need_sets_and_models() -> None:
    """Without them there is nothing to choose."""
    with pytest.raises(SetupError, match="at least one set"):
        world([])
    data = sets()[0]
    scores = np.where(np.arange(len(MODELS)) > 0, np.nan, data.scores)
    with pytest.raises(SetupError, match="'school' has fewer than two models"):
        world([replace(data, scores=scores)])
