"""Disturbed prompts, and the decisions of the served router for them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from collegium.evals.core.data import RoutingData
from collegium.evals.routing.encoders import encoder
from collegium.evals.routing.problem import Problem, build
from collegium.evals.routing.robustness.disturbances import (
    CLAIM,
    IRRELEVANT,
    OVERRIDE,
    additions,
    paraphrases,
)
from collegium.evals.routing.robustness.measure import robustness
from collegium.evals.routing.robustness.report import mean_robustness
from collegium.evals.routing.robustness.search import worst_suffix
from collegium.evals.routing.robustness.served import Served, served
from collegium.evals.routing.robustness.text import disturbed_table

UNITS = ("metres", "feet", "miles", "inches", "yards", "kilometres")
PLACES = ("Kenya", "Norway", "Peru", "Japan", "Spain", "Ghana", "Nepal", "Chile", "Egypt", "Laos")
EACH = 150
CHEAP, DEAR = 0, 1
TEXT = "Which river is the longest one in Kenya? Answer with its name."


def _prompts() -> tuple[str, ...]:
    """Conversions that both models can do, and geography that only the dear one knows."""
    random = np.random.default_rng(0)
    units = [random.choice(UNITS, 2, replace=False) for _ in range(EACH)]
    sums = [f"Convert {random.integers(2, 900)} {a} to {b}, please." for a, b in units]
    asked = [
        f"Which river of {random.choice(PLACES)} was number {random.integers(2, 90)} in length?"
        for _ in range(EACH)
    ]
    return (*sums, *asked)


@pytest.fixture(scope="module")
def problem() -> Problem:
    """A set whose models the text tells apart."""
    prompts = _prompts()
    tasks = ["sums"] * EACH + ["rivers"] * EACH
    rates = np.array([(0.95, 0.95) if task == "sums" else (0.1, 0.95) for task in tasks])
    scores = (np.random.default_rng(1).random(rates.shape) < rates).astype(np.float64)
    data = RoutingData(
        name="units",
        prompt_ids=tuple(str(i) for i in range(len(prompts))),
        prompts=prompts,
        labels={"task": tuple(tasks)},
        models=("cheap-1b", "dear-400b"),
        scores=scores,
    )
    return build(data, np.arange(len(prompts)) % 3 > 0)


@pytest.fixture(scope="module")
def router(problem: Problem) -> Served:
    """A router of the set, with the encoder that ships."""
    return served(problem, problem.folds[0], encoder("static"))


def ten(problem: Problem) -> list[str]:
    """Ten conversions to judge by."""
    rows = [row for row in problem.test_rows if problem.tasks[row] == "sums"]
    return [problem.prompts[row] for row in rows[:10]]


@pytest.mark.parametrize("added", [CLAIM, OVERRIDE, IRRELEVANT, "xq zvk wjj plf qqr tzz"])
@pytest.mark.parametrize("first", [True, False], ids=["before", "behind"])
def test_no_added_text_sends_ten_of_ten_to_the_dearest(
    problem: Problem, router: Served, added: str, first: bool
) -> None:
    """Conversions stay with the cheap model: read as a whole, all ten would go to the dear one."""
    texts = ten(problem)
    usual = router.chosen(texts)
    assert (usual == CHEAP).sum() >= 7
    disturbed = [f"{added} {text}" if first else f"{text} {added}" for text in texts]
    assert (router.chosen(disturbed) == usual).sum() >= 9


def test_what_needs_the_dear_model_still_goes_there(problem: Problem, router: Served) -> None:
    """Also with text around it."""
    rows = [row for row in problem.test_rows if problem.tasks[row] == "rivers"][:10]
    texts = [problem.prompts[row] for row in rows]
    for disturbed in (texts, [f"{OVERRIDE} {text}" for text in texts]):
        assert (router.chosen(disturbed) == DEAR).sum() >= 8


def test_disturbances_are_the_same_for_the_same_seed() -> None:
    """Each changes a text that it can change, and no two do the same."""
    text = "Choose the correct answer: which of the following questions is harder? I can't tell. B."
    others = ["a lengthy explanation of photosynthesis", "something else entirely"]
    first, again = ({**paraphrases(s), **additions(others, s)} for s in (0, 0))
    found = {kind: change(text) for kind, change in first.items()}
    assert found == {kind: change(text) for kind, change in again.items()}
    assert len({text, *found.values()}) == 1 + len(found)
    assert additions(others, 1)["gibberish_suffix"](text) != found["gibberish_suffix"]


def test_a_typo_keeps_the_letters() -> None:
    """Two of them change places, inside of a word."""
    typed = paraphrases()["typos"]
    texts = [f"{TEXT} {i} relatively lengthy considerations" for i in range(20)]
    assert all(sorted(typed(text)) == sorted(text) for text in texts)
    assert any(typed(text) != text for text in texts)


def test_the_search_never_looks_at_what_is_judged(problem: Problem, router: Served) -> None:
    """Its phrases are of its own or of training prompts, whatever is judged."""
    train = [problem.prompts[row] for row in problem.train_rows]
    suffix = worst_suffix(router, train, DEAR)
    assert suffix
    assert not any(problem.prompts[row] in suffix for row in problem.test_rows)


def test_the_report_measures_every_kind(problem: Problem) -> None:
    """Shares, savings and their intervals; the mean is that of the kinds."""
    found = robustness(problem, encoder("static"), prompts=40)
    assert found.prompts == 40
    assert found.dearest_model == "dear-400b"
    assert found.undisturbed.same.estimate == 1.0
    assert found.undisturbed.saving is not None
    assert found.undisturbed.saving.estimate > 0.2
    assert found.kinds[-1].kind == "searched_suffix"
    same = [each.same.estimate for each in found.kinds]
    assert found.overall.same.estimate == pytest.approx(np.mean(same))
    assert found.overall.same.low <= found.overall.same.estimate <= found.overall.same.high
    table = disturbed_table(found)
    assert len(table) == 3 + len(found.kinds)
    assert len({len(row) for row in table}) == 1


def test_means_leave_out_what_is_not_defined(problem: Problem) -> None:
    """Where the best single model is free there is nothing to save."""
    paid = robustness(problem, encoder("static"), prompts=10)
    free = robustness(
        replace(problem, costs=np.zeros_like(problem.costs)), encoder("static"), prompts=10
    )
    assert free.undisturbed.saving is None
    mean = mean_robustness([paid, free])
    assert mean is not None
    assert paid.undisturbed.saving is not None
    assert (mean.sets, mean.saving) == (2, paid.undisturbed.saving.estimate)
    assert mean_robustness([]) is None
