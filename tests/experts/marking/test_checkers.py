"""Answers are marked by programs."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from collegium.errors import BadRequest, SettingsError
from collegium.experts.marking import checker_of
from collegium.extensions import Extensions, extensions

CHECKERS = extensions().names("checker")


def marked(
    name: str,
    text: str | None,
    reference: Any,
    *,
    request: Mapping[str, Any] | None = None,
    calls: Any = None,
    **options: Any,
) -> float | None:
    answer = {"role": "assistant", "content": text, "tool_calls": calls}
    return checker_of(name, **options).mark(request or {}, answer, reference)


# --- names ---


def test_an_unknown_checker_is_refused_with_those_that_there_are() -> None:
    """All of them are listed."""
    with pytest.raises(BadRequest) as refused:
        checker_of("embossed")
    assert all(name in str(refused.value) for name in (*CHECKERS, "python:MODULE:FUNCTION"))


def test_an_unknown_option_is_refused() -> None:
    """The checker's name is in the error."""
    with pytest.raises(BadRequest, match=r"checker 'number': got an unknown option 'precision'"):
        checker_of("number", precision=3)


@pytest.mark.parametrize("name", CHECKERS)
def test_without_a_reference_nothing_can_be_told(name: str) -> None:
    """Neither of a text nor of an answer without content."""
    assert marked(name, "SELECT 1; so the answer is (B), 3", None) is None
    assert marked(name, None, None) is None


def test_a_function_of_the_operators_marks() -> None:
    """Its name is taken from the command line only."""
    name = "python:math:hypot"
    with pytest.raises(BadRequest, match="operator"):
        checker_of(name)
    assert checker_of(name, trusted=True)
    for wrong in (
        "python:nowhere_at_all:x",
        "python:math:nothing",
        "python:math",
        "python:math:pi",
    ):
        with pytest.raises(SettingsError):
            checker_of(wrong, trusted=True)


@pytest.mark.parametrize("code", ["raise RuntimeError('half done')", "import sys; sys.exit(3)"])
def test_a_module_that_fails_to_import_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """Also one that is a script, and would end the process."""
    (tmp_path / "unfinished.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SettingsError, match=r"no checker 'python:unfinished:f': (Run|SystemExit)"):
        checker_of("python:unfinished:f", trusted=True)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: object(), "checker 'odd' has no method `mark`"),
        (lambda: 1 / 0, "checker 'odd' can't be made: ZeroDivisionError: division by zero"),
    ],
)
def test_a_plugin_that_makes_no_checker_is_named(
    monkeypatch: pytest.MonkeyPatch, make: Any, words: str
) -> None:
    """Where it can be imported, but gives nothing that marks."""
    monkeypatch.setattr(Extensions, "load", lambda *_: make)
    with pytest.raises(SettingsError, match=re.escape(words)):
        checker_of("odd")


@pytest.mark.parametrize("returned", [7, "much", -0.1, float("nan")])
def test_a_function_that_gives_no_mark_is_named(tmp_path: Path, returned: Any) -> None:
    """Its result has to be a number from 0 to 1."""
    from collegium.experts.marking.entry_point import EntryPoint

    with pytest.raises(SettingsError, match="checker 'mine'"):
        EntryPoint("mine", lambda *_: returned).mark({}, {}, None)
    assert EntryPoint("mine", lambda *_: True).mark({}, {}, None) == 1.0
    assert EntryPoint("mine", lambda *_: None).mark({}, {}, None) is None


# --- reference ---


@pytest.mark.parametrize(
    ("text", "reference", "mark"),
    [
        ("Paris", "paris", 1),
        ("**Paris.**", "Paris", 1),
        ("The answer is: Paris", "Paris", 1),
        ("I think so.\n#### the Eiffel  Tower", "Eiffel Tower", 1),
        ("NYC", ["New York", "nyc"], 1),
        ("ﬁne", "fine", 1),
        ("Not Paris", "Paris", 0),
        ("It lies in Paris, France", "Paris", 0),
        ("", "Paris", 0),
        ("Paris", "...", None),
    ],
)
def test_a_text_is_compared_but_for_its_form(text: str, reference: Any, mark: float) -> None:
    """Case, blanks, articles and punctuation at the ends don't count."""
    assert marked("reference", text, reference) == mark


def test_a_longer_answer_may_contain_the_text() -> None:
    """As whole words, where the checker is told so."""
    assert marked("reference", "It lies in Paris, France", "Paris", contains=True) == 1
    assert marked("reference", "The Parisians", "Paris", contains=True) == 0
    rivals = ["Rome", "Paris"]
    assert marked("reference", "In Paris", "Paris", contains=True, rivals=rivals) == 1
    assert marked("reference", "Rome or Paris", "Paris", contains=True, rivals=rivals) == 0


# --- number ---


@pytest.mark.parametrize(
    ("text", "reference", "mark"),
    [
        ("12", 12, 1),
        ("12.0", 12, 1),
        ("3 + 4 = 7", 7, 1),
        ("First 5, then 6, so 11 apples.", 11, 1),
        ("It is 1,234,567.", 1234567, 1),
        ("1 234", 1234, 1),
        ("$1,200.50", 1200.5, 1),
        (r"\boxed{\frac{3}{4}} since 8 > 7", 0.75, 1),
        ("#### 18\nIs 20 better?", 18, 1),
        ("The answer is 18, not 20.", 18, 1),
        ("The solution is to add 3 and 4, which makes 7.", 7, 1),
        ("The answer is about 18, or 18.2 with the tip.", 18, 1),
        ("The result of 3 + 4 is 7. (8 would be too much.)", 7, 1),
        ("**Answer: 42**", 42, 1),
        ("The answer is 2 + 3 = 5", 5, 1),
        ("60 / 10", 6, 0),
        ("60/10", 6, 0),
        ("3/4", 0.75, 1),
        ("60/10 = 6", 6, 1),
        ("-3", -3, 1),
        ("\u22123", -3, 1),
        ("3", -3, 0),
        ("It's 10-3", 3, 1),
        ("6.02 × 10^23", 6.02e23, 1),  # noqa: RUF001
        ("1.5e3", 1500, 1),
        ("12 km", "12 km", 1),
        ("12 kilometres", "12 km", 1),
        ("12 miles", "12 km", 0),
        ("12", "12 km", 1),
        ("€5", "5 euros", 1),
        ("50%", "50 %", 1),
        (r"\$0.99", 0.99, 1),
        ("seven", 7, 0),
        ("7", "seven", None),
        ("3.14", {"value": 3.14159, "absolute": 0.005}, 1),
        ("3.1", {"value": 3.14159, "absolute": 0.005}, 0),
        ("101", {"value": 100, "tolerance": 0.02}, 1),
        ("8", [7, 8], 1),
        ("1e999", 1, 0),
        ("7", True, None),
    ],
)
def test_the_last_or_stated_number_counts(text: str, reference: Any, mark: float) -> None:
    """Units, separators, fractions and powers are read."""
    assert marked("number", text, reference) == mark


# --- option ---


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("B", 1),
        ("(b)", 1),
        ("B.", 1),
        ("B) Paris", 1),
        ("**B**", 1),
        ("B. Paris, because A is too small", 1),
        ("The correct answer is B.", 1),
        ("The answer is (B) Paris.", 1),
        (r"So \boxed{B}", 1),
        ("I'd go for option B, as it is large.", 1),
        ("A cow is no bird, so it is (B).", 1),
        ("Let me think. A penguin is.\nB", 1),
        ("A) Rome\nB) Paris\nC) Ulm\n\nThe answer is B.", 1),
        ("B) Paris\nA) Rome", 0),
        ("B) Rome\nA) Paris\nC) Ulm", 0),
        ("A or B", 0),
        ("A", 0),
        ("A bird sings.", 0),
        ("None of them.", 0),
        ("Paris", 1),
        ("", 0),
    ],
)
def test_the_chosen_letter_counts(text: str, mark: float) -> None:
    """However it is written; the option's own text counts as its letter."""
    assert marked("option", text, {"letter": "B", "text": "Paris"}) == mark


def test_a_letter_alone_is_a_reference() -> None:
    """With or without brackets."""
    assert marked("option", "c", "(C)") == 1
    assert marked("option", "c", "none") is None


# --- json_schema ---

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ('{"name": "Ann", "age": 7}', 1),
        ('Here:\n```json\n{"name": "Ann", "age": 7}\n```\nDone.', 1),
        ('Sure! {"name": "Ann", "age": 7}', 1),
        ('{"name": "Ann", "age": "7"}', 0),
        ('{"name": "Ann"}', 0),
        ("no JSON", 0),
        ("[" * 100_000, 0),
    ],
)
def test_json_is_validated(text: str, mark: float) -> None:
    """The schema is the reference, or the request's."""
    assert marked("json_schema", text, SCHEMA) == mark
    asked = {"response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}}}
    assert marked("json_schema", text, None, request=asked) == mark


def test_values_are_compared() -> None:
    """Numbers by value, with or without a schema."""
    reference = {"schema": SCHEMA, "value": {"age": 7, "name": "Ann"}}
    assert marked("json_schema", '{"name": " Ann", "age": 7}', reference) == 1
    assert marked("json_schema", '{"name": "Bo", "age": 7}', reference) == 0
    assert marked("json_schema", '{"x": [1.0, true]}', {"value": {"x": [1, True]}}) == 1
    assert marked("json_schema", '{"x": [true, 1]}', {"value": {"x": [1, True]}}) == 0
    assert marked("json_schema", "null", {"value": None}) == 1


def test_strict_json_has_nothing_round_it() -> None:
    """Neither words nor a code block."""
    assert marked("json_schema", "```json\n{}\n```", {"type": "object"}, strict=True) == 0
    assert marked("json_schema", " {}\n", {"type": "object"}, strict=True) == 1


def exploding() -> dict[str, Any]:
    """Each definition refers to the next twice: 2^40 references are followed."""
    steps: dict[str, Any] = {
        f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(40)
    }
    return {"$defs": {**steps, "d40": {}}, "$ref": "#/$defs/d0"}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "spaceship"},
        {"$ref": "http://127.0.0.1:9/schema.json"},
        {"$ref": "#/$defs/missing"},
        {"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
        {"type": "string", "pattern": "^(a|aa)+$"},
        {"patternProperties": {"(a+)+$": {}}},
        exploding(),
    ],
)
def test_a_schema_that_can_not_be_used_tells_nothing(schema: Any) -> None:
    """It is wrong, refers to elsewhere, or would take for ever; an end comes soon."""
    began = time.perf_counter()
    assert marked("json_schema", json.dumps("a" * 60 + "!"), schema) is None
    assert time.perf_counter() - began < 5


# --- sql ---

DDL = """
CREATE TABLE cities (name TEXT, people INTEGER);
INSERT INTO cities VALUES ('Ulm', 126000), ('Bonn', 330000), ('Jena', 111000);
"""


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("SELECT name FROM cities WHERE people > 120000", 1),
        ("```sql\nSELECT name FROM cities WHERE people >= 126000 ORDER BY 1;\n```\nIt sorts.", 1),
        ("Use this: select name from cities where people > 120000;", 1),
        ("SELECT name FROM cities", 0),
        ("SELECT nam FROM cities", 0),
        ("DROP TABLE cities", 0),
        ("ATTACH 'x.db' AS x", 0),
        ("SELECT load_extension('x')", 0),
        ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n", 0),
        ("I can't.", 0),
    ],
)
def test_queries_are_compared_by_what_they_find(text: str, mark: float) -> None:
    """Whatever else a query tries is refused."""
    reference = {"query": "SELECT name FROM cities WHERE people > 120000", "ddl": DDL}
    assert marked("sql", text, reference) == mark
    assert marked("sql", text, reference["query"], ddl=DDL) == mark


def test_order_counts_where_it_is_asked_for() -> None:
    """That is: where the right query sorts, and not just in a part of it."""
    best = "SELECT name FROM cities ORDER BY people"
    upside_down = "SELECT name FROM cities ORDER BY people DESC"
    assert marked("sql", upside_down, best, ddl=DDL) == 0
    assert marked("sql", upside_down, "SELECT name FROM cities", ddl=DDL) == 1
    nested = "SELECT name FROM (SELECT name FROM cities ORDER BY people)"
    assert marked("sql", upside_down, nested, ddl=DDL) == 1


def test_a_database_file_is_read_and_left_alone(tmp_path: Path) -> None:
    """The queries run on a copy in memory."""
    path = tmp_path / "cities.db"
    with sqlite3.connect(path) as made:
        made.executescript(DDL)
    made.close()
    before = path.read_bytes()
    assert marked("sql", "SELECT count(*) FROM cities", "SELECT 3", database=path) == 1
    assert path.read_bytes() == before
    with pytest.raises(SettingsError, match="nowhere"):
        checker_of("sql", database=tmp_path / "nowhere.db")


@pytest.mark.parametrize(
    "ddl",
    [
        "ATTACH 'other.db' AS other; CREATE TABLE other.t (x)",
        "CREATE TABLE",
        "VACUUM INTO 'copy.db'",
        "CREATE TABLE n AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
        "SELECT i FROM n",
    ],
)
def test_a_reference_that_does_not_run_tells_nothing(
    ddl: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its statements can open no file and take no end of time or memory."""
    monkeypatch.chdir(tmp_path)
    assert marked("sql", "SELECT 1", {"query": "SELECT 1", "ddl": ddl}) is None
    assert list(tmp_path.iterdir()) == []
    assert marked("sql", "SELECT 1", {"query": "SELECT x", "ddl": DDL}) is None


# --- regex ---


def test_patterns_are_searched() -> None:
    """In the whole answer, of any case, one of several."""
    assert marked("regex", "On 2026-11-29 or so", r"\d{4}-\d\d-\d\d") == 1
    assert marked("regex", "On 2026-11-29 or so", r"\d{4}-\d\d-\d\d", whole=True) == 0
    assert marked("regex", "HELLO", ["bye", "hello"], ignore_case=True) == 1
    assert marked("regex", "HELLO", ["bye", "hello"]) == 0
    assert marked("regex", "HELLO", "(") is None


def test_a_pattern_that_takes_for_ever_is_given_up() -> None:
    """It is no mark against the answer."""
    began = time.perf_counter()
    assert marked("regex", "a" * 60 + "!", "^(a|aa)+$") is None
    assert marked("regex", "a" * 60, "(((((a{50}){50}){50}){50}){50})") is None
    assert time.perf_counter() - began < 3


# --- tool_call ---


def call(name: str, arguments: Any) -> dict[str, Any]:
    told = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return {"id": "1", "type": "function", "function": {"name": name, "arguments": told}}


WEATHER = {"name": "weather", "arguments": {"city": "Ulm", "days": 3}}


@pytest.mark.parametrize(
    ("calls", "mark"),
    [
        ([call("weather", {"days": 3.0, "city": "ulm "})], 1),
        ([call("weather", {"days": 3, "city": "Bonn"})], 0),
        ([call("weather", {"days": "3", "city": "Ulm"})], 0),
        ([call("weather", {"city": "Ulm"})], 0),
        ([call("weather", {"days": 3, "city": "Ulm", "unit": "C"})], 0),
        ([call("climate", {"days": 3, "city": "Ulm"})], 0),
        ([call("weather", "{")], 0),
        ([call("weather", WEATHER["arguments"])] * 2, 0),
        ([], 0),
        (None, 0),
        (["weather", {"function": 3}, 7], 0),
    ],
)
def test_a_call_has_its_name_and_arguments(calls: Any, mark: float) -> None:
    """Numbers by value, texts but for their form."""
    assert marked("tool_call", None, WEATHER, calls=calls) == mark


def test_several_calls_may_come_in_any_order() -> None:
    """Each is needed once."""
    time_of = {"name": "time", "arguments": {}, "optional": {"zone": "UTC"}}
    both = [WEATHER, time_of]
    weather = call("weather", WEATHER["arguments"])
    assert marked("tool_call", None, both, calls=[call("time", {}), weather]) == 1
    assert marked("tool_call", None, both, calls=[weather, call("time", {"zone": "utc"})]) == 1
    assert marked("tool_call", None, both, calls=[weather, call("time", {"zone": "CET"})]) == 0
    assert marked("tool_call", None, both, calls=[weather, weather]) == 0


def test_no_call_may_be_right() -> None:
    """An empty list says so."""
    assert marked("tool_call", "Hello", []) == 1
    assert marked("tool_call", "Hello", [], calls=[call("time", {})]) == 0
    assert marked("tool_call", "Hello", "time") is None


def test_names_alone_may_be_marked() -> None:
    """Then any arguments do."""
    assert marked("tool_call", None, WEATHER, calls=[call("weather", "{")], names_only=True) == 1
