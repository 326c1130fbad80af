"""Responses that are kept: gone on with, read, listed, owned, redacted and deleted."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import pytest

from collegium.registry.decisions.responses import ResponseRecord
from collegium.registry.decisions.selection import Selection
from collegium.web.serving.recent_responses import RecentResponses
from tests.web.callers import calling, until_idle
from tests.web.conftest import Serve, Web, until
from tests.web.fakes import delta
from tests.web.responses import PATH, ask, asked, stream

KEYS = {"api_key": "secret-1", "caller_keys": {"ann": "secret-a", "bob": "secret-b"}}
KEPT = {"record": "full"}


def key(secret: str) -> dict[str, str]:
    """The header of a caller."""
    return {"Authorization": f"Bearer {secret}"}


async def get(web: Web, name: str, path: str = "", **options: Any) -> Any:
    """What is told of a response, or the error."""
    answer = await web.http.get(f"{PATH}/{name}{path}", **options)
    return answer.json() if answer.status_code == 200 else answer.json()["error"]


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_conversation_goes_on_by_the_last_response(serve: Serve, streamed: bool) -> None:
    """The expert reads all of it; instructions are the last request's alone."""
    async with serve(**KEPT) as web:
        web.experts["sql"].says = "hello"
        if streamed:
            first = (await stream(web, "sql 1", instructions="Be brief"))[-1]["response"]
        else:
            first = await ask(web, "sql 1", instructions="Be brief")
        assert first["store"] is True
        before = {"previous_response_id": first["id"]}
        second = await ask(web, "sql 2", instructions="Be long", **before)
        await ask(web, "sql 3", previous_response_id=second["id"])
        said = [(m["role"], m["content"].strip()) for m in asked(web)["messages"]]
        assert said == [
            ("user", "sql 1"),
            ("assistant", "hello"),
            ("user", "sql 2"),
            ("assistant", "hello"),
            ("user", "sql 3"),
        ]
        assert await get(web, first["id"]) == first


async def test_results_of_tools_go_on_by_the_last_response(serve: Serve) -> None:
    """The call itself is kept: only its result is sent."""
    function = {"name": "find", "arguments": "{}"}
    call = {"index": 0, "id": "call_1", "type": "function", "function": function}
    tools = [{"type": "function", "name": "find", "parameters": {"type": "object"}}]
    async with serve(**KEPT) as web:
        web.experts["sql"].chunks = [
            delta({"reasoning": "hm"}),
            delta({"tool_calls": [call]}),
            delta({}, "tool_calls"),
        ]
        first = (await stream(web, "sql 1", tools=tools))[-1]["response"]
        result = {"type": "function_call_output", "call_id": "call_1", "output": "found"}
        await ask(web, [result], tools=tools, previous_response_id=first["id"])
        user, assistant, tool = asked(web)["messages"]
        assert (user["role"], assistant["tool_calls"][0]["id"]) == ("user", "call_1")
        assert tool == {"role": "tool", "tool_call_id": "call_1", "content": "found"}


async def test_the_conversation_is_a_session(serve: Serve) -> None:
    """Named by its first response, unless the caller names one."""
    async with serve(**KEPT) as web:
        first = await ask(web)
        second = await ask(web, "sql 2", previous_response_id=first["id"])
        third = await ask(web, "sql 3", previous_response_id=second["id"])
        await web.parts.background.finish()
        page = await web.parts.log.list(Selection(session=f"resp:{first['id']}"))
        ids = [r["collegium"]["decision"]["id"] for r in (third, second, first)]
        assert [each.decision.id for each in page.items] == ids
        headers = {"x-session-id": "mine"}
        body = {"input": "sql 4", "previous_response_id": third["id"]}
        await web.http.post(PATH, json=body, headers=headers)
        page = await web.parts.log.list(Selection(session="mine"))
        assert len(page.items) == 1


async def test_items_are_referred_to(serve: Serve) -> None:
    """As clients do that count on responses being stored."""
    async with serve(**KEPT) as web:
        web.experts["sql"].says = "hello"
        first = await ask(web, "sql 1")
        named = {"type": "item_reference", "id": first["output"][0]["id"]}
        items = [{"role": "user", "content": text} for text in ("sql 1", "sql 2")]
        await ask(web, [items[0], named, items[1]])
        assert [m["role"] for m in asked(web)["messages"]] == ["user", "assistant", "user"]
        unknown = {"type": "item_reference", "id": "msg_0_1"}
        error = await ask(web, [unknown], status=404)
        assert (error["param"], error["code"]) == ("input", "response_not_found")


async def test_nothing_is_kept_that_the_caller_does_not_want_kept(serve: Serve) -> None:
    """With `store: false`; the error says how to go on."""
    async with serve(**KEPT) as web:
        response = await ask(web, store=False)
        assert response["store"] is False
        error = await ask(web, status=404, previous_response_id=response["id"])
        assert (error["param"], error["code"]) == ("previous_response_id", "response_not_found")
        assert "store: false" in error["message"]


async def test_tool_loops_go_on_where_no_answer_is_written(serve: Serve) -> None:
    """In memory, for an hour, and for as long as their decision is there."""
    async with serve(record="prompts", **KEYS) as web:
        mine, theirs = {"headers": key("secret-a")}, {"headers": key("secret-b")}
        response = (await web.http.post(PATH, json={"input": "sql 1"}, **mine)).json()  # type: ignore[arg-type]
        assert response["store"] is True
        named = {"type": "item_reference", "id": response["output"][0]["id"]}
        again = {"input": [named, {"role": "user", "content": "sql 2"}]}
        further = {"input": "sql 3", "previous_response_id": response["id"]}
        for body in (again, further):
            assert (await web.http.post(PATH, json=body, **mine)).status_code == 200  # type: ignore[arg-type]
            assert (await web.http.post(PATH, json=body, **theirs)).status_code == 404  # type: ignore[arg-type]
        assert await web.parts.responses.get([response["id"]]) == {}
        decision = response["collegium"]["decision"]["id"]
        path = f"/v1/decisions/{decision}"
        assert (await web.http.delete(path, headers=key("secret-1"))).is_success
        gone = await web.http.post(PATH, json=further, **mine)  # type: ignore[arg-type]
        assert "more than an hour old" in gone.json()["error"]["message"]


async def test_recent_responses_are_bounded_and_forgotten() -> None:
    """Who has most loses the oldest; nobody keeps any for longer than an hour."""
    clock = [0.0]

    async def all_exist(decisions: Iterable[str]) -> Collection[str]:
        return set(decisions)

    recent = RecentResponses(all_exist, most_bytes=100, now=lambda: clock[0])
    for number, owner in enumerate(["a", "a", "b", "a"]):
        await recent.add(ResponseRecord(f"r{number}", f"d{number}", owner, (), 30, "[]", "{}"))
    assert set(await recent.get(["r0", "r1", "r2", "r3"])) == {"r1", "r2", "r3"}
    assert set(await recent.get(["r1", "r2"], scope=frozenset({"b"}))) == {"r2"}
    assert not await recent.delete("r1", scope=frozenset({"b"}))
    assert await recent.delete("r1", scope=frozenset({"a"}))
    await recent.add(ResponseRecord("huge", "d", "b", (), 101, "[]", "{}"))
    assert set(await recent.get(["r1", "r2", "r3", "huge"])) == {"r2", "r3"}
    clock[0] = 3601.0
    assert await recent.get(["r2", "r3"]) == {}


async def test_nothing_is_kept_that_the_setting_forbids(serve: Serve) -> None:
    """The error says why, and what to do."""
    record = "off"
    async with serve(record=record) as web:
        response = await ask(web, store=True)
        assert response["store"] is False
        error = await ask(web, status=404, previous_response_id=response["id"])
        assert f"record is '{record}'" in error["message"]
        assert "Set record to 'full', or send the items themselves" in error["message"]
        named = {"type": "item_reference", "id": response["output"][0]["id"]}
        assert record in (await ask(web, [named], status=404))["message"]


async def test_responses_belong_to_their_callers(serve: Serve) -> None:
    """To others they are unknown; the operator sees all."""
    async with serve(**KEPT, **KEYS) as web:
        answer = await web.http.post(PATH, json={"input": "a"}, headers=key("secret-a"))
        name = answer.json()["id"]
        assert (await get(web, name, headers=key("secret-a")))["id"] == name
        assert (await get(web, name, headers=key("secret-1")))["id"] == name
        foreign: Any = {"headers": key("secret-b")}
        assert (await get(web, name, **foreign))["code"] == "response_not_found"
        assert (await get(web, name, "/input_items", **foreign))["code"] == "response_not_found"
        assert (await web.http.delete(f"{PATH}/{name}", **foreign)).status_code == 404
        body = {"input": "b", "previous_response_id": name}
        assert (await web.http.post(PATH, json=body, **foreign)).status_code == 404
        item = {"type": "item_reference", "id": answer.json()["output"][0]["id"]}
        assert (await web.http.post(PATH, json={"input": [item]}, **foreign)).status_code == 404


async def test_the_input_is_listed_page_by_page(serve: Serve) -> None:
    """Newest first unless told otherwise; every item has an id."""
    items = [{"role": "user", "content": f"sql {n}"} for n in range(5)]
    async with serve(**KEPT) as web:
        name = (await ask(web, items))["id"]
        page = await get(web, name, "/input_items", params={"limit": 2})
        assert [i["content"][0]["text"] for i in page["data"]] == ["sql 4", "sql 3"]
        assert page["has_more"] is True
        more = {"after": page["last_id"], "limit": 9}
        rest = await get(web, name, "/input_items", params=more)
        said = [item["content"][0]["text"] for item in rest["data"]]
        assert said == ["sql 2", "sql 1", "sql 0"]
        assert rest["has_more"] is False
        forward = await get(web, name, "/input_items", params={"order": "asc", "limit": 1})
        assert forward["data"][0]["content"][0]["text"] == "sql 0"
        assert (await get(web, name, "/input_items", params={"after": "x"}))["param"] == "after"
        assert (await get(web, name, params={"stream": "true"}))["param"] == "stream"


async def test_a_deleted_response_is_gone(serve: Serve) -> None:
    """By itself, or with its decision; a conversation that misses one does not go on."""
    async with serve(**KEPT) as web:
        first = await ask(web)
        second = await ask(web, "sql 2", previous_response_id=first["id"])
        gone = (await web.http.delete(f"{PATH}/{first['id']}")).json()
        assert gone == {"id": first["id"], "object": "response", "deleted": True}
        assert (await get(web, first["id"]))["code"] == "response_not_found"
        error = await ask(web, "sql 3", status=404, previous_response_id=second["id"])
        assert f"'{first['id']}', an earlier one" in error["message"]
        await web.parts.background.finish()
        await web.http.delete(f"/v1/decisions/{second['collegium']['decision']['id']}")
        assert (await get(web, second["id"]))["code"] == "response_not_found"


async def test_a_kept_response_is_redacted_and_found_again(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All texts pass the operator's function; ids stay what they are."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "shouting.py").write_text("def shouted(text):\n    return text.upper()\n")
    async with serve(**KEPT, redact="shouting:shouted") as web:
        parameters = {"type": "object", "properties": {"id": {"description": "secret"}}}
        tool = {"type": "function", "name": "find", "parameters": parameters}
        response = await ask(web, "sql secret", tools=[tool])
        kept = await get(web, response["id"])
        assert kept["output"][0]["content"][0]["text"] == "HELLO THERE"
        assert "secret" not in json.dumps(kept)
        assert (kept["id"], kept["output"][0]["id"]) == (
            response["id"],
            response["output"][0]["id"],
        )
        await ask(web, "sql 2", model="sql", previous_response_id=response["id"])
        assert asked(web)["messages"][0]["content"] == "SQL SECRET"


async def test_a_conversation_has_bounds(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """In its responses, and in its room."""
    async with serve(**KEPT, max_body_mib=0.02) as web:
        first = await ask(web, "sql " + "a" * 16_000)
        second = await ask(web, "sql 2", previous_response_id=first["id"])
        error = await ask(web, "sql 3", status=400, previous_response_id=second["id"])
        assert "max_body_mib" in error["message"]
        monkeypatch.setattr("collegium.web.serving.stored_responses.MOST_EARLIER", 1)
        error = await ask(web, "sql 3", status=400, previous_response_id=second["id"])
        assert "more than 1 responses" in error["message"]


async def test_an_answer_that_fails_is_not_kept(serve: Serve) -> None:
    """There is nothing to go on with."""
    async with serve(**KEPT) as web:
        web.experts["sql"].dies = RuntimeError("broke")
        answer = await web.http.post(PATH, json={"input": "a", "model": "sql", "stream": True})
        name = answer.text.partition('"id":"')[2].partition('"')[0]
        assert name.startswith("resp_")
        assert (await get(web, name))["code"] == "response_not_found"


async def test_who_leaves_a_stream_ends_the_call(serve: Serve) -> None:
    """Nothing is kept, though it would have been; what was said is accounted for."""
    async with serve(**KEPT) as web:
        web.experts["sql"].pauses = True
        async with calling(web, {"input": "sql 1", "stream": True}, path=PATH) as caller:
            await until(lambda: "hello" in caller.text)
            caller.left.set()
        assert web.experts["sql"].left == 1
        await until_idle(web)
        (logged,) = await web.parts.log.recent()
        assert logged.outcome is not None
        assert logged.outcome.status == "cancelled"
        name = caller.text.partition('"id":"')[2].partition('"')[0]
        assert (await get(web, name))["code"] == "response_not_found"
