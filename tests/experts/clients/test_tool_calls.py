"""Tool calls of careless upstreams are mended for every client."""

from __future__ import annotations

from typing import Any

from collegium.experts.clients.events import ToolCall
from collegium.experts.clients.openai_shape import chunk_events, message_events
from collegium.experts.clients.tool_calls import ToolCalls


def mended(*chunks: Any) -> list[tuple[int, str | None, str | None, str | None]]:
    """Index, id, name and arguments of each piece of a stream."""
    tools, found = ToolCalls(), []
    for calls in chunks:
        delta = {"choices": [{"index": 0, "delta": {"tool_calls": calls}}]}
        for event in map(tools.mended, chunk_events(delta)):
            assert isinstance(event, ToolCall)
            assert event.piece["index"] == event.index
            function = event.piece["function"]
            found.append(
                (
                    event.index,
                    event.piece.get("id"),
                    function.get("name"),
                    function.get("arguments"),
                )
            )
    return found


def call(name: str | None, arguments: Any, **fields: Any) -> dict[str, Any]:
    """One piece of a call."""
    named = {} if name is None else {"name": name}
    return {**fields, "function": {**named, "arguments": arguments}}


def test_what_is_right_stays_as_it_is() -> None:
    """Id and name in the first piece, arguments in all."""
    first = {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}
    assert mended([first], [call(None, "{}", index=0)]) == [
        (0, "a", "f", ""),
        (0, None, None, "{}"),
    ]


def test_id_and_name_are_told_once() -> None:
    """Clients add up what comes twice."""
    piece = call("f", "1", index=0, id="a")
    assert mended([piece], [piece]) == [(0, "a", "f", "1"), (0, None, None, "1")]


def test_a_name_without_an_id_gets_one() -> None:
    """Of its own for each call."""
    (_, one, _, _), (_, two, _, _) = found = mended([call("f", "{}")], [call("g", "{}")])
    assert [index for index, *_ in found] == [0, 1]
    assert one
    assert two
    assert one != two


def test_calls_that_share_an_index_are_told_apart() -> None:
    """By their ids, where each names a function; further pieces belong to their own."""
    found = mended(
        [call("f", "1", index=0, id="a")],
        [call("g", "2", index=0, id="b")],
        [call(None, "3", index=0, id="b")],
        [call(None, "4", index=0, id="a")],
    )
    assert [(index, arguments) for index, _, _, arguments in found] == [
        (0, "1"),
        (1, "2"),
        (1, "3"),
        (0, "4"),
    ]


def test_an_id_that_changes_with_every_piece_is_one_call() -> None:
    """As long as no function is named."""
    found = mended([call("f", "1", index=0, id="a")], [call(None, "2", index=0, id="b")])
    assert found == [(0, "a", "f", "1"), (0, None, None, "2")]


def test_arguments_are_text() -> None:
    """Also where an upstream sends the object, in a stream or in a whole answer."""
    assert mended([call("f", {"x": 1}, index=0, id="a")]) == [(0, "a", "f", '{"x": 1}')]
    message = {"content": None, "tool_calls": [call("f", {"x": 1})]}
    event, _ = message_events({"message": message, "finish_reason": "tool_calls"})
    assert isinstance(event, ToolCall)
    assert event.piece["function"]["arguments"] == '{"x": 1}'
    assert event.piece["id"].startswith("call_")
    assert event.piece["type"] == "function"
