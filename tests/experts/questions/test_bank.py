"""The bank's questions can be answered, and their references are right."""

from __future__ import annotations

import ast
import json
import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from itertools import product
from typing import Any

import pytest

from collegium.errors import BadRequest
from collegium.experts.clients.counting import estimated_tokens
from collegium.experts.questions import KINDS, LEVELS, Question, question
from collegium.experts.questions.kinds import languages, samples
from collegium.experts.questions.kinds.labels import priority
from collegium.extensions import extensions

EACH = 40
CELLS = [(kind, level) for kind in KINDS for level in LEVELS]


def text_of(asked: Question) -> str:
    text = asked.request["messages"][0]["content"]
    assert isinstance(text, str)
    return text


def some(kind: str, level: int, pattern: str) -> list[tuple[Question, re.Match[str]]]:
    """Questions of a kind whose text has the pattern."""
    drawn = [question(kind, level, n) for n in range(150)]
    found = [(q, m) for q in drawn if (m := re.search(pattern, text_of(q), re.DOTALL))]
    assert len(found) > 10
    return found


def right_answer(asked: Question) -> Mapping[str, Any]:
    """An answer that says what the reference says."""
    reference = asked.reference
    if asked.checker == "tool_call":
        calls = [reference] if isinstance(reference, Mapping) else reference
        told = [{"name": c["name"], "arguments": json.dumps(c["arguments"])} for c in calls]
        return {"content": "", "tool_calls": [{"function": function} for function in told]}
    if asked.checker == "regex":
        return {"content": spelt(asked)}
    if isinstance(reference, Mapping):
        key = next(k for k in ("value", "letter", "query") if k in reference)
        value = reference[key]
        return {"content": value if isinstance(value, str) else json.dumps(value)}
    return {"content": str(reference[0] if isinstance(reference, list) else reference)}


def spelt(asked: Question) -> str:
    """The text that a pattern stands for, where it stands for one; else a text that fits."""
    plain = re.sub(
        r"\[[^\]]*\][*?]|\(\?:python\\s\)\?|\\s\*\\n\\s\*|\\s\*|\\\.\?", "\0", asked.reference
    )
    plain = plain.replace("\0\0", "\0")
    return re.sub(r"\\(.)", r"\1", plain).strip("\0").replace("\0", " ")


@pytest.mark.parametrize(("kind", "level"), CELLS)
def test_questions_are_the_same_everywhere_and_differ(kind: str, level: int) -> None:
    """By number; each has a checker of ours and its own name."""
    drawn = [question(kind, level, n) for n in range(EACH)]
    assert drawn == [question(kind, level, n) for n in range(EACH)]
    assert len({q.id for q in drawn}) == EACH
    assert {q.checker for q in drawn} <= set(extensions().names("checker"))
    fewest = 12 if kind in ("facts", "logic", "labels", "languages", "tools") else 25
    assert len({text_of(q) for q in drawn}) >= fewest


@pytest.mark.parametrize(("kind", "level"), [cell for cell in CELLS if cell[0] != "instructions"])
def test_the_right_answer_is_right_and_another_questions_is_not(kind: str, level: int) -> None:
    """Whatever the checker; an empty answer is right only where no tool is to be called."""
    drawn = [question(kind, level, n) for n in range(EACH)]
    assert [q.id for q in drawn if q.mark(right_answer(q)) != 1.0] == []
    empty = [q.id for q in drawn if q.mark({"content": ""}) != 0.0 and q.reference != []]
    assert empty == []
    moved = zip(drawn, [*drawn[1:], drawn[0]], strict=True)
    crossed = [(q, q.mark(right_answer(other))) for q, other in moved]
    assert sum(mark == 0.0 for _, mark in crossed) >= 0.4 * EACH


@pytest.mark.parametrize(("kind", "level"), CELLS)
def test_who_knows_nothing_is_seldom_right(kind: str, level: int) -> None:
    """By repeating the question, or by one answer to all."""
    drawn = [question(kind, level, n) for n in range(60)]
    repeated = [q.mark({"content": text_of(q)}) for q in drawn]
    assert repeated.count(1.0) <= (18 if kind == "tools" else 7)
    for text in ("A", "no", "0"):
        assert [q.mark({"content": text}) for q in drawn].count(1.0) <= 27


@pytest.mark.parametrize(("kind", "level"), [("facts", 4), ("poems", 1)])
def test_what_the_bank_lacks_is_refused(kind: str, level: int) -> None:
    """With what there is."""
    with pytest.raises(BadRequest, match=r"arithmetic, .*levels: 1 to 3"):
        question(kind, level, 0)


# --- references, found in another way ---


def test_sums_are_right() -> None:
    """As Python evaluates what is asked."""
    for level in LEVELS:
        for asked, match in some("arithmetic", level, r"What is ([\d+*() -]+)\?"):
            assert asked.reference == eval(match[1], {"__builtins__": {}})


def test_remainders_are_right() -> None:
    """By multiplying again and again."""
    for asked, match in some("arithmetic", 3, r"when (\d+)\^(\d+) is divided by (\d+)"):
        base, power, by = map(int, match.groups())
        assert asked.reference == base**power % by


def test_equations_hold() -> None:
    """The solution is put in."""
    for asked, match in some("algebra", 1, r"Solve for x: ([^=]+) = ([^.]+)\. Reply"):
        left, right = (re.sub(r"(\d)x", r"\1*x", side) for side in match.groups())
        x = asked.reference
        assert eval(left, {}, {"x": x}) == eval(right, {}, {"x": x})
    for asked, match in some("algebra", 2, r"solution of x\^2 (.) (\d+)x (.) (\d+) = 0"):
        b, c = int(match[1] + match[2]), int(match[3] + match[4])
        roots = [x for x in range(-100, 101) if x * x + b * x + c == 0]
        assert asked.reference == max(roots)
    for asked, match in some(
        "algebra",
        3,
        r"remainder (\d+) when divided by (\d+) and remainder (\d+) when divided by (\d+)",
    ):
        a, m, b, n = map(int, match.groups())
        assert asked.reference == next(x for x in range(1, m * n) if (x % m, x % n) == (a, b))


def test_just_one_assignment_of_liars_fits() -> None:
    """The statements are read again from the text."""
    for asked, _ in some("logic", 3, r"either always tells the truth"):
        said = re.findall(r'(\w+) says: "([^"]+)"', text_of(asked))
        names = [name for name, _ in said]
        fitting = [
            [n for n, true in zip(names, truth, strict=True) if true]
            for truth in product((True, False), repeat=3)
            if all(holds(text, dict(zip(names, truth, strict=True))) == truth[i]
                   for i, (_, text) in enumerate(said))
        ]  # fmt: skip
        assert [" and ".join(f) or "nobody" for f in fitting] == [asked.reference["text"]]


def holds(text: str, honest: dict[str, bool]) -> bool:
    """Whether a statement is true."""
    named = [honest[name] for name in re.findall(r"[A-Z]\w+", text) if name in honest]
    if "Exactly one" in text:
        return sum(honest.values()) == 2
    if "Exactly two" in text:
        return sum(honest.values()) == 1
    if "same kind" in text:
        return named[0] == named[1]
    if text.startswith("If"):
        return not named[0] or named[1]
    if "or both do" in text:
        return not all(named)
    return named[0] == ("tells the truth" in text)


def test_queries_find_something_to_find() -> None:
    """Else a query for nothing would be right; and no two agree by accident everywhere."""
    for level in LEVELS:
        empty = 0
        for n in range(30):
            reference = question("sql", level, n).reference
            database = sqlite3.connect(":memory:")
            database.executescript(reference["ddl"])
            empty += not database.execute(reference["query"]).fetchall()
            database.close()
        assert empty <= 2


def test_functions_return_what_is_said() -> None:
    """The shown source is run as Python reads it."""
    for level in LEVELS:
        for asked, match in some("code", level, r"```python\n(.*?)\n```.*`(\w+)\((.*)\)` return"):
            names: dict[str, Any] = {"Callable": Callable, "Generator": Generator}
            exec(match[1], names)  # our own source
            result = names[match[2]](ast.literal_eval(match[3]))
            assert asked.mark({"content": repr(result)}) == 1.0


def test_numbers_in_words_are_those_of_the_languages() -> None:
    """Known ones, with all irregularities."""
    known = {
        "German": {21: "einundzwanzig", 30: "dreißig", 76: "sechsundsiebzig"},
        "French": {21: "vingt et un", 45: "quarante-cinq", 60: "soixante", 71: "soixante et onze"},
        "Spanish": {22: "veintidós", 29: "veintinueve", 31: "treinta y uno", 90: "noventa"},
    }
    known["French"] |= {75: "soixante-quinze", 80: "quatre-vingts", 81: "quatre-vingt-un"}
    known["French"][99] = "quatre-vingt-dix-neuf"
    for language, numbers in known.items():
        assert {n: languages.in_words(language, n) for n in numbers} == numbers
    for language in languages.TENS:
        assert len({languages.in_words(language, n) for n in range(21, 100)}) == 79


def test_rules_for_tickets_cover_all() -> None:
    """Each priority occurs; examples by hand."""
    assert priority("free", 8, 60, down=True) == "normal"
    assert priority("free", 7, 60, down=True) == "low"
    assert priority("basic", 0, 21, down=True) == "urgent"
    assert priority("premium", 0, 1, down=True) == "urgent"
    assert priority("basic", 0, 20, down=True) == "high"
    assert priority("premium", 5, 60, down=False) == "high"
    assert priority("premium", 4, 60, down=False) == "normal"
    drawn = Counter(question("labels", 3, n).reference["text"] for n in range(100))
    assert len(drawn) == 4


def after_colon(given: list[str]) -> list[str]:
    start = max(i for i, word in enumerate(given) if word.endswith(":"))
    return [word.strip(",") for word in given[start + 1 :]]


INSTRUCTIONS: dict[str, Callable[[list[str]], str]] = {
    "Write the word": lambda t: ", ".join([t[3]] * int(t[4])),
    "Write these three words": lambda t: " ".join(t[-3:]).upper(),
    "Describe": lambda _: "Cold, quiet, endless.",
    "Write these words in reverse": lambda t: " ".join(reversed(after_colon(t))),
    "Write these words in alphabetical": lambda t: "\n".join(sorted(after_colon(t))),
    "Write exactly": lambda t: " ".join([f"{t[11][0]}ome"] * int(t[2])),
}  # fmt: skip


def test_an_answer_as_it_was_prescribed_is_right() -> None:
    """And one that is not, is not."""
    for level in (1, 2):
        for n in range(EACH):
            asked = question("instructions", level, n)
            text = text_of(asked)
            answer = next(f for start, f in INSTRUCTIONS.items() if text.startswith(start))
            right = answer(text.split())
            assert asked.mark({"content": right}) == 1.0, (text, right)
            assert asked.mark({"content": f"Sure! {right} and more of it"}) == 0.0


@pytest.mark.parametrize(
    ("pattern", "right", "wrong"),
    [
        (
            r"of exactly 9 words about",
            "Beyond the {0} we saw nothing but grey water.",
            [
                "Beyond the {0} we saw nothing but water.",
                "Beyond the sea we saw nothing but grey water.",
            ],
        ),
        (
            r"the letter e does not",
            '"small birds sing in a warm wind, again and again"',
            ['"the birds sing in a warm wind, again and again"', "small birds sing in a warm wind"],
        ),
        (
            r"poem of four lines",
            "{0} in the morning\n{1} on the hill\n{2} by the water\n{3} are very still",
            ["{0} in the morning\n{1} on the hill\n{2} by the water", "a b c\nd e f\ng h i\nj k l"],
        ),
    ],
)  # fmt: skip
def test_several_conditions_hold_at_once(pattern: str, right: str, wrong: list[str]) -> None:
    """A text that breaks one of them is wrong."""
    asked = some("instructions", 3, pattern)[0][0]
    text = text_of(asked)
    word = re.search(r"contains the word (\w+)", text)
    letters = re.search(r"letters (\w), (\w), (\w), (\w)", text)
    filled = [word[1]] if word else [f"{c}ome" for c in letters.groups()] if letters else []
    assert asked.mark({"content": right.format(*filled)}) == 1.0
    assert [asked.mark({"content": w.format(*filled)}) for w in wrong] == [0.0] * len(wrong)


def test_texts_have_their_lengths() -> None:
    """About 400, 2,500 and 10,000 tokens."""
    for level, tokens in zip(LEVELS, (400, 2_500, 10_000), strict=True):
        assert estimated_tokens(text_of(question("retrieval", level, 0))) == pytest.approx(
            tokens, rel=0.35
        )


def test_samples_are_all_asked() -> None:
    """None of the functions is forgotten."""
    drawn = [text_of(question("code", level, n)) for level in LEVELS for n in range(150)]
    names = {match[1] for text in drawn if (match := re.search(r"def (\w+)", text))}
    ours = {n for n, f in vars(samples).items() if getattr(f, "__module__", "") == samples.__name__}
    assert names == ours
