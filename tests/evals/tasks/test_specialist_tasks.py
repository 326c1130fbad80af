"""The specialists' tasks: the same everywhere, honest between splits, exact and safe checkers."""

import difflib
import itertools
import json
import subprocess
import sys
from dataclasses import replace
from functools import cache
from random import Random
from time import monotonic

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collegium.evals.tasks import TASKS
from collegium.evals.tasks.base import (
    Example,
    GeneratedTask,
    Kind,
    Phrasings,
    Question,
    Split,
    bare,
)
from collegium.evals.tasks.schemas import CHILDREN, TABLES, grid, image
from collegium.experts.marking.sandbox import BadQuery, run_query
from collegium.experts.specialists import SPECIALISTS

SPLITS: tuple[Split, ...] = ("train", "validation", "test")
ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"
HOSTILE = (
    "",
    " \n\t",
    "DROP TABLE employees",
    "SELECT 1; DROP TABLE employees",
    "ATTACH DATABASE 'stolen.db' AS stolen",
    "PRAGMA writable_schema = ON",
    "SELECT load_extension('anything')",
    "SELECT zeroblob(1000000000)",
    "SELECT CAST(x'ff' AS TEXT)",
    "SELECT \0",
    ENDLESS,
    "SELECT count(*) FROM books a, books b, books c, books d, books e",
    "[" * 1500,
    "{" * 100_000,
    "9" * 1500,
    "1e999",
    "NaN",
    "```" * 500,
    "\ud800",
    "x" * 5_000_000,
    "``` \n" * 400,
    '""',
    "'",
    ".",
)
names = pytest.mark.parametrize("name", sorted(TASKS))


@cache
def examples(name: str, split: Split = "test", count: int = 60) -> list[Example]:
    return TASKS[name].examples(split, count)


def generated(name: str) -> GeneratedTask:
    task = TASKS[name]
    assert isinstance(task, GeneratedTask)
    return task


def test_the_tasks_are_named_as_they_are_keyed() -> None:
    """A task's key, its name and its examples' task agree."""
    assert sorted(TASKS) == ["conversion", "json", "labels", "lists", "sql"]
    for name, task in TASKS.items():
        assert task.name == name == examples(name, count=1)[0].task


def test_each_task_is_a_specialists_and_described() -> None:
    """In the same order, which numbers the sparse mixture's experts, and in one line each."""
    assert list(SPECIALISTS) == list(TASKS)
    assert not any("\n" in description for description in SPECIALISTS.values())


@names
def test_examples_are_the_same_whenever_they_are_drawn(name: str) -> None:
    """Drawing twice gives equal examples, and fewer are the beginning of more."""
    assert TASKS[name].examples("test", 40) == examples(name, count=40)
    assert examples(name, count=10) == examples(name, count=40)[:10]
    assert TASKS[name].examples("test", 10, seed=1) != TASKS[name].examples("test", 10, seed=2)


def test_examples_do_not_depend_on_pythons_hash_seed() -> None:
    """Another Python process with another hash seed draws the same examples."""
    program = (
        "from collegium.evals.tasks import TASKS;"
        "print([e.prompt_id for t in TASKS.values() for e in t.examples('train', 5)])"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONHASHSEED": "4321", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    expected = [e.prompt_id for name in TASKS for e in examples(name, "train", 5)]
    assert run.stdout.strip() == str(expected)


@names
def test_no_prompt_occurs_twice_in_or_across_splits(name: str) -> None:
    """Even with different seeds no prompt and no identifier is in two splits."""
    drawn = [TASKS[name].examples(split, 150, seed=seed) for seed, split in enumerate(SPLITS)]
    prompts = [example.prompt for split in drawn for example in split]
    identifiers = [example.prompt_id for split in drawn for example in split]
    assert len(set(prompts)) == len(set(identifiers)) == 450


@names
def test_there_are_many_phrasings_and_the_test_has_its_own(name: str) -> None:
    """At least 25 templates to train with, 10 others to test with, validation as in training."""
    task = generated(name)
    train, test = set(task.templates("train")), set(task.templates("test"))
    assert len(train) >= 25
    assert len(test) >= 10
    assert not train & test
    assert set(task.templates("validation")) == train
    for split in SPLITS:
        assert {e.template for e in examples(name, split)} <= set(task.templates(split))


@names
def test_no_test_phrasing_is_a_trivial_edit_of_a_training_one(name: str) -> None:
    """Bodies of test and training differ in more than a few letters."""
    for kind in generated(name).kinds:
        for new, old in itertools.product(kind.bodies.test, kind.bodies.train):
            likeness = difflib.SequenceMatcher(None, new, old, autojunk=False)
            assert likeness.quick_ratio() < 0.85 or likeness.ratio() < 0.85, new


@names
def test_every_reference_passes_its_own_check(name: str) -> None:
    """In every split the reference is right, also in the forms that count as the same."""
    for split in SPLITS:
        for example in examples(name, split):
            for form in ("{}", " {}\n", "```\n{}\n```", "{}."):
                assert TASKS[name].check(example, form.format(example.reference)), example


@names
def test_wrong_answers_fail(name: str) -> None:
    """Another question's answer, a sentence around the answer or half of it is wrong."""
    drawn = examples(name)
    for example, other in itertools.pairwise(drawn):
        assert not TASKS[name].check(example, f"The answer is: {example.reference}")
        assert not TASKS[name].check(example, f"{example.reference}\n\nI hope this helps!")
        assert not TASKS[name].check(example, "no idea")
        if name != "sql" and other.reference != example.reference:
            assert not TASKS[name].check(example, other.reference)


@names
def test_hostile_answers_are_wrong_quickly(name: str) -> None:
    """Nothing that a model may write crashes a checker or keeps it busy."""
    example = examples(name)[0]
    for answer in HOSTILE:
        began = monotonic()
        assert not TASKS[name].check(example, answer)
        assert monotonic() - began < 2


@given(answer=st.text(max_size=300))
@settings(max_examples=60, deadline=None)
def test_no_text_at_all_raises(answer: str) -> None:
    """A checker answers true or false for every string."""
    for name in TASKS:
        assert TASKS[name].check(examples(name, count=1)[0], answer) in (True, False)


def test_a_task_says_when_it_runs_out_of_questions() -> None:
    """Asking for more different questions than there are is an error, not an endless loop."""

    class Tiny(GeneratedTask):
        name = "tiny"
        kinds = (
            Kind("only", lambda _: Question({"a": "1"}, "1"), Phrasings(("{a}?",), ("Say {a}",))),
        )

        def check(self, example: Example, answer: str) -> bool:
            return answer == example.reference

    with pytest.raises(ValueError, match="fewer than 3"):
        Tiny().examples("train", 3)


@pytest.mark.parametrize(
    ("given_answer", "stripped"),
    [
        ("  42\n", "42"),
        ("42.", "42"),
        ('"forty-two"', "forty-two"),
        ("'forty-two'.", "forty-two"),
        ("`a, b.`", "a, b"),
        ("```sql\nSELECT 1\n```", "SELECT 1"),
        ("```\n[1]\n```", "[1]"),
        ("about 42", "about 42"),
        ("4.2", "4.2"),
    ],
)
def test_only_form_is_stripped(given_answer: str, stripped: str) -> None:
    """Spaces, a fence, quotes and a full stop go; everything else stays."""
    assert bare(given_answer) == stripped


def test_json_may_be_spaced_and_ordered_freely_but_keeps_its_types() -> None:
    """Key order and spaces are free; a number in quotes or one more key is wrong."""
    task = TASKS["json"]
    example = next(e for e in examples("json") if '"age"' in e.reference)
    facts = json.loads(example.reference)
    backwards = dict(reversed(facts.items()))
    assert task.check(example, json.dumps(backwards, indent=4))
    assert task.check(example, f"```json\n{json.dumps(facts)}\n```")
    assert not task.check(example, json.dumps({**facts, "age": str(facts["age"])}))
    assert not task.check(example, json.dumps({**facts, "more": 1}))


def test_lists_may_be_spaced_freely_but_not_reordered() -> None:
    """The spaces beside commas do not matter; the order and the brackets do."""
    task = TASKS["lists"]
    example = next(e for e in examples("lists") if e.reference.count(", ") > 1)
    items = example.reference.split(", ")
    assert task.check(example, ",".join(items))
    assert task.check(example, " , ".join(items))
    assert not task.check(example, f"[{example.reference}]")
    assert not task.check(example, ", ".join([*items[1:], items[0]]))


def test_sql_is_judged_by_what_it_finds() -> None:
    """Another query with the same rows is right, one with other rows is wrong."""
    task = TASKS["sql"]
    plain = next(e for e in examples("sql") if " LIMIT " not in e.reference)
    assert task.check(plain, f"{plain.reference};")
    assert task.check(plain, f"SELECT * FROM ({plain.reference})")
    assert not task.check(plain, f"{plain.reference} LIMIT 0")


def test_sql_order_counts_only_where_it_is_asked_for() -> None:
    """Ranked questions want their order, the others do not care."""
    task = TASKS["sql"]
    ranked = next(e for e in examples("sql") if "ORDER BY" in e.reference)
    assert not task.check(ranked, f"SELECT * FROM ({ranked.reference}) ORDER BY random()")
    unranked = replace(ranked, reference=ranked.reference.split(" ORDER BY")[0])
    assert task.check(unranked, f"{unranked.reference} ORDER BY random()")


def test_sql_thresholds_lie_on_rows_so_that_comparisons_differ() -> None:
    """Every number that a question may name occurs exactly once: > and >= never agree."""
    for table in (*TABLES, *CHILDREN):
        for column in table.numbers:
            found = run_query(image(1), f"SELECT {column} FROM {table.name} ORDER BY {column}")
            assert [value for (value,) in found] == list(grid(column))


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM books",
        "CREATE TABLE more(x)",
        "PRAGMA query_only = OFF",
        "ATTACH ':memory:' AS other",
        "SELECT 1; SELECT 2",
        ENDLESS,
    ],
)
def test_the_sandbox_only_reads_and_only_briefly(query: str) -> None:
    """What writes, wanders or never ends is refused, and the next query finds all rows."""
    with pytest.raises(BadQuery):
        run_query(image(1), query)
    assert run_query(image(1), "SELECT COUNT(*) FROM books") == [(40,)]


def test_the_sandbox_never_returns_endless_rows() -> None:
    """An endless query that yields rows at once is cut."""
    endless_rows = ENDLESS.replace("max(x)", "x")
    assert len(run_query(image(1), endless_rows)) <= 1_000


@given(seed=st.integers(min_value=0, max_value=2**32))
@settings(max_examples=30, deadline=None)
def test_any_seed_gives_right_references(seed: int) -> None:
    """Whatever the seed, the questions are new ones that pass their own check."""
    for name, task in TASKS.items():
        split = Random(seed).choice(SPLITS)
        for example in task.examples(split, 3, seed=seed):
            assert TASKS[name].check(example, example.reference)
