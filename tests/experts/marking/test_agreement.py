"""Experts' answers are marked by who agrees with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import numpy as np
import pytest

from collegium.experts.marking.agreement import Agreement, shared_words


def said(**texts: str) -> dict[str, Mapping[str, Any]]:
    return {name: {"role": "assistant", "content": text} for name, text in texts.items()}


def answers_of(rates: Mapping[str, float], count: int, seed: int = 0) -> list[Any]:
    """Questions with four options, of which A is right; who errs errs alone."""
    random = Random(seed)
    return [
        said(
            **{
                name: "A" if random.random() < rate else random.choice("BCD")
                for name, rate in rates.items()
            }
        )
        for _ in range(count)
    ]


def test_the_majority_is_probably_right() -> None:
    """Numbers agree however they are written."""
    marks = Agreement().marks(said(a="12", b="The answer is 12.0.", c="13"))
    assert marks["a"] == marks["b"]
    assert marks["a"] is not None
    assert marks["c"] is not None
    assert marks["a"] > 0.8 > 0.2 > marks["c"] > 0


def test_alone_nothing_can_be_told() -> None:
    """Nor of an empty answer; tool calls are no empty answer."""
    assert Agreement().marks(said(a="12")) == {"a": None}
    assert Agreement().marks(said(a="12", b="")) == {"a": None, "b": None}
    call = {"function": {"name": "clock", "arguments": "{}"}}
    marks = Agreement().marks({n: {"content": None, "tool_calls": [call]} for n in "ab"})
    assert marks["a"] == marks["b"] is not None


def test_reliabilities_are_recovered_from_answers_alone() -> None:
    """As many experts err alone; nobody said who is good."""
    rates = {"good": 0.9, "fair": 0.7, "poor": 0.4, "weak": 0.3, "solid": 0.8}
    fitted = Agreement().fit(answers_of(rates, 400))
    for name, rate in rates.items():
        assert fitted.reliability_[name] == pytest.approx(rate, abs=0.08)
    marks = fitted.marks(said(good="A", weak="B", poor="B"))
    assert marks["good"] is not None
    assert marks["weak"] is not None
    assert marks["good"] > marks["weak"], "one good expert outweighs two that guess"


def test_marks_are_calibrated() -> None:
    """Of answers that score about p, a share of p is right."""
    prompts = answers_of({"a": 0.8, "b": 0.7, "c": 0.6, "d": 0.5}, 1500, seed=3)
    fitted = Agreement().fit(prompts)
    pairs = [
        (mark, prompt[name]["content"] == "A")
        for prompt in prompts
        for name, mark in fitted.marks(prompt).items()
        if mark is not None
    ]
    scores, right = (np.array(column, dtype=float) for column in zip(*pairs, strict=True))
    for low, high in ((0.0, 0.2), (0.2, 0.5), (0.5, 0.8), (0.8, 1.01)):
        inside = (scores >= low) & (scores < high)
        assert inside.sum() > 50
        assert scores[inside].mean() == pytest.approx(right[inside].mean(), abs=0.06)


def test_a_family_counts_less_than_strangers() -> None:
    """Three of one family against two strangers."""
    answers = said(s="A", m="A", l="A", x="B", y="B")
    strangers = Agreement().marks(answers)
    related = Agreement(dict.fromkeys("sml", "one family")).marks(answers)
    assert strangers["s"] is not None
    assert strangers["x"] is not None
    assert related["s"] is not None
    assert related["x"] is not None
    assert strangers["s"] > strangers["x"]
    assert related["x"] > related["s"]


LONG = "The Rhine rises in the Alps and flows through Basel and Cologne to the North Sea."


def test_long_texts_agree_by_their_words() -> None:
    """Unless a similarity of meanings is given."""
    texts = said(
        a=LONG,
        b=LONG.replace("Basel and ", ""),
        c="I am a small language model and can unfortunately say nothing at all about any rivers.",
    )
    marks = Agreement().marks(texts)
    assert marks["a"] is not None
    assert marks["c"] is not None
    assert marks["a"] > marks["c"]

    def alike(given: Sequence[str]) -> list[list[float]]:
        assert len(given) == 3
        return [[1.0, 0.2, 0.9], [0.2, 1.0, 0.1], [0.9, 0.1, 1.0]]

    marks = Agreement(similarity=alike).fit([texts] * 5).marks(texts)
    assert marks["c"] is not None
    assert marks["b"] is not None
    assert marks["c"] > marks["b"]


def test_shared_words_are_between_nothing_and_all() -> None:
    """F1, by hand."""
    assert shared_words(["a b c", "a b d e", "x"])[0] == pytest.approx([1.0, 4 / 7, 0.0])
