"""What a set's prompts show of their application: names, texts, tools and schemas."""

import json

import pytest

from collegium.errors import SetupError
from collegium.evals.core.signals import read_signals, signals_of
from collegium.router.applications.signals import Signals

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


def test_a_prompt_without_signals_is_silent() -> None:
    """Nothing is made up, and labels of other kinds are none."""
    assert read_signals({"task": "maths", "system": None, "application": ""}, "here").silent
    assert signals_of({"task": ("maths",)}, ("1",)) == [Signals()]


@pytest.mark.parametrize(
    "tools",
    [
        ["search", "book"],
        "search, book",
        '["search", "book"]',
        [{"type": "function", "function": {"name": "search"}}, {"name": "book"}],
        json.dumps([{"name": "search", "parameters": {}}, {"name": "book"}]),
    ],
)
def test_tools_are_known_by_their_names(tools: object) -> None:
    """Names, OpenAI's tools, bare functions, and each of them as JSON in a text."""
    assert read_signals({"tools": tools}, "here").tools == ("search", "book")
    assert read_signals({"functions": tools}, "here").tools == ("search", "book")


@pytest.mark.parametrize(
    ("record", "schema"),
    [
        ({"schema": SCHEMA}, SCHEMA),
        ({"schema": json.dumps(SCHEMA)}, SCHEMA),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "place", "schema": SCHEMA},
                }
            },
            SCHEMA,
        ),
        ({"response_format": "json_object"}, {"type": "json_object"}),
        ({"response_format": {"type": "json_object"}}, {"type": "json_object"}),
    ],
)
def test_a_schema_reads_the_same_however_it_is_given(
    record: dict[str, object], schema: object
) -> None:
    """Its keys are sorted."""
    assert read_signals(record, "here").schema == json.dumps(schema, sort_keys=True)


def test_plain_text_is_no_schema() -> None:
    """As an object and as a word."""
    assert read_signals({"response_format": {"type": "text"}}, "here").schema == ""
    assert read_signals({"response_format": "text"}, "here").schema == ""


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"system": 3}, "line 7: 'system' must be text"),
        ({"application": ["a"]}, "line 7: 'application' must be text"),
        ({"tools": 3}, "line 7: 'tools' must be a list"),
        ({"tools": [3]}, "line 7: each of 'tools' must be a name or have one"),
        ({"functions": "[oops"}, "line 7: 'tools' holds text that is not valid JSON"),
        ({"schema": "[]"}, "line 7: 'schema' must be a JSON object"),
        ({"response_format": [1]}, "line 7: 'response_format' must be an object"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(record: dict[str, object], message: str) -> None:
    """The field, and what it should be."""
    with pytest.raises(SetupError, match=message):
        read_signals(record, "line 7")
