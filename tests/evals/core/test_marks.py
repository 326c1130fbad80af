"""Confidences become marks where the task is multiple choice."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from collegium.errors import SetupError
from collegium.evals.core.data import load_set
from collegium.evals.core.marks import is_multiple_choice, marks


@pytest.mark.parametrize(
    ("task", "choice"),
    [
        ("mmlu", True),
        ("cmmlu", True),
        ("ceval", True),
        ("ceval_physics", True),
        ("arc_challenge", True),
        ("ARC-easy", True),
        ("gsm8k", False),
        ("humaneval", False),
        ("search_arc", False),
        ("archery", False),
        (None, False),
    ],
)
def test_the_rule_goes_by_the_tasks_name(task: str | None, choice: bool) -> None:
    """RouterDC's multiple-choice tasks and their relatives."""
    assert is_multiple_choice(task) is choice


def test_a_confidence_above_zero_is_a_right_answer() -> None:
    """Pass rates of other tasks, marks and gaps stay what they are."""
    scores = np.array([[0.55, 0.0, 1.0, np.nan], [0.25, 0.0, 1.0, np.nan]])
    expected = [[1.0, 0.0, 1.0, np.nan], [0.25, 0.0, 1.0, np.nan]]
    np.testing.assert_array_equal(marks(scores, ("arc_challenge", "mbpp")), expected)
    np.testing.assert_array_equal(marks(scores, None), scores)


def folder(path: Path, **files: str) -> Path:
    """Write a set with two prompts."""
    prompts = (
        '{"prompt_id": "a", "prompt": "x", "task": "mmlu"}\n{"prompt_id": "b", "prompt": "y"}\n'
    )
    texts = {"prompts.jsonl": prompts, "scores.csv": "prompt_id,m1,m2\na,0.4,0\nb,0.4,1\n", **files}
    for name, text in texts.items():
        (path / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
    return path


def test_loading_a_set_marks_it(tmp_path: Path) -> None:
    """Prompts without a task are not touched."""
    np.testing.assert_array_equal(load_set(folder(tmp_path)).scores, [[1, 0], [0.4, 1]])


def test_lengths_of_answers_are_matched_by_model(tmp_path: Path) -> None:
    """The file may have other models, in another order."""
    data = load_set(folder(tmp_path, **{"response_chars.csv": "prompt_id,m3,m1\na,9,1200\n"}))
    expected = [[1200, np.nan], [np.nan, np.nan]]
    np.testing.assert_array_equal(data.extras["response_chars"], expected)


def test_prices_are_read(tmp_path: Path) -> None:
    """Dollars per million tokens; other fields are none of our business."""
    text = '{"m1": {"input_price": 0.5, "output_price": 2, "size": "7B"}}'
    (folder(tmp_path) / "model_prices.json").write_text(text)
    price = load_set(tmp_path).prices["m1"]
    assert (price.input, price.output) == (0.5, 2.0)


@pytest.mark.parametrize(
    "text", ["[]", "{oops", '{"m1": 3}', '{"m1": {"input_price": 1}}',
             '{"m1": {"input_price": -1, "output_price": 1}}',
             '{"m1": {"input_price": true, "output_price": 1}}'],
)  # fmt: skip
def test_garbled_prices_are_named(tmp_path: Path, text: str) -> None:
    """The error says which file, and which model where it can."""
    (folder(tmp_path) / "model_prices.json").write_text(text)
    with pytest.raises(SetupError, match=r"model_prices\.json"):
        load_set(tmp_path)
