"""What means something only after the message before it, in many languages."""

from __future__ import annotations

import time
import tomllib
from pathlib import Path
from typing import Any

import pytest

from collegium.router.conversation import query_text
from collegium.router.followups import corrects, depends, words

TALKS = tomllib.loads(Path(__file__).with_name("talks.toml").read_text(encoding="utf-8"))
ALL = {**TALKS["seen"], **TALKS["unseen"]}


def talk(*said: str) -> list[dict[str, Any]]:
    """A conversation of these user messages, each answered but the last."""
    messages: list[dict[str, Any]] = []
    for text in said:
        messages += [{"role": "user", "content": text}, {"role": "assistant", "content": "OK."}]
    return messages[:-1]


@pytest.mark.parametrize("language", ALL)
def test_follow_ups_are_read_with_their_question(language: str) -> None:
    """At most one of a language's is missed."""
    told = ALL[language]
    missed = [m for m in told["follow_ups"] if query_text(talk(told["question"], m)) == m]
    assert len(missed) <= 1, missed


@pytest.mark.parametrize("language", ALL)
def test_a_new_question_is_read_by_itself(language: str) -> None:
    """Never with the one before it, whose expert would get it."""
    told = ALL[language]
    wrong = [m for m in told["new"] if query_text(talk(told["question"], m)) != m]
    assert wrong == []


@pytest.mark.parametrize("language", ALL)
def test_a_whole_question_depends_on_nothing(language: str) -> None:
    """However a language writes it."""
    assert not depends(ALL[language]["question"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("?", True),
        ("2", True),
        ("👍", True),
        ("12 * 7", False),
        ("for i in range(3):\n    print(i)", False),
        ("and: SELECT title FROM films", False),
        ("I need a recipe for bread", False),
        ("A poem about the sea", False),
        ("Men in Black?", False),
        ("", True),
    ],
)
def test_messages_without_a_language(text: str, expected: bool) -> None:
    """Marks, numbers, code, and words that are another language's little words."""
    assert depends(text) is expected


@pytest.mark.parametrize(
    "text",
    ["No, that is wrong.", "still wrong", "try again", "That doesn't work", "nein, das ist falsch",
     "不对", "違います", "нет, это неправильно", "¡no, eso está mal!", "아니, 틀렸어"],
)  # fmt: skip
def test_a_correction_is_recognised(text: str) -> None:
    """By what users say of an answer."""
    assert corrects(text)


@pytest.mark.parametrize(
    "text", ["Now add tests.", "no problem, thanks", "Why is my code wrong?", "No, use tabs", "ja"]
)
def test_what_is_said_on_the_way_is_no_correction(text: str) -> None:
    """Wishes, thanks and questions."""
    assert not corrects(text)


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [("one two three", 3, 3), ("法国的首都是哪里", 3, 6), ("เมืองหลวงของฝรั่งเศสคืออะไร", 4, 8)],
)
def test_words_are_counted_where_no_blanks_are_between(text: str, least: int, most: int) -> None:
    """About."""
    assert least <= words(text) <= most


@pytest.mark.parametrize(
    "piece", ["a", "no ", "? ", "yes, ", "more ", "不", "好一点", "อันที่aa", "(", "it "]
)
def test_no_text_takes_long(piece: str) -> None:
    """Whatever is sent: patterns do not try everything."""
    started = time.perf_counter()
    depends((piece * 200)[:200])
    corrects((piece * 400)[:399] + "x")
    assert time.perf_counter() - started < 0.5
