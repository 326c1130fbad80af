"""Decisions, their feedback and their sessions belong to who asked; the operator sees all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.web.access import ADMIN, bearer
from tests.web.bulk import line
from tests.web.conftest import Serve, Web, until

KEYS: dict[str, Any] = {
    "api_key": ADMIN,
    "caller_keys": {"shop": "the-key-of-shop", "desk": "the-key-of-desk"},
}
UNKNOWN = (404, "decision_not_found")


@dataclass
class As:
    """One caller of the service."""

    web: Web
    key: str

    async def send(self, method: str, path: str, **fields: Any) -> httpx.Response:
        """Any request, with the caller's key."""
        headers = bearer(self.key) | fields.pop("headers", {})
        return await self.web.http.request(method, path, headers=headers, **fields)

    async def ask(self, text: str = "sql 1", session: str | None = None, **fields: Any) -> str:
        """The id of a decision."""
        body = {"messages": [{"role": "user", "content": text}], **fields}
        headers = {} if session is None else {"x-session-id": session}
        answer = await self.send("POST", "/v1/chat/completions", json=body, headers=headers)
        await self.web.parts.background.finish()
        return str(answer.json()["collegium"]["decision"]["id"])

    async def rate(self, **fields: Any) -> httpx.Response:
        """Give feedback."""
        return await self.send("POST", "/v1/feedback", json={"verdict": "good_fit"} | fields)

    async def ids(self, query: str = "") -> list[str]:
        """The decisions that a list shows."""
        data = (await self.send("GET", f"/v1/decisions?{query}")).json()["data"]
        return [each["id"] for each in data]


@pytest.fixture
async def keyed(serve: Serve) -> AsyncIterator[Web]:
    """A service with two callers."""
    async with serve(**KEYS, record="full") as web:
        yield web


@pytest.fixture
def shop(keyed: Web) -> As:
    return As(keyed, "the-key-of-shop")


@pytest.fixture
def desk(keyed: Web) -> As:
    return As(keyed, "the-key-of-desk")


@pytest.fixture
def operator(keyed: Web) -> As:
    return As(keyed, ADMIN)


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def test_others_can_not_tell_that_a_decision_exists(shop: As, desk: As, operator: As) -> None:
    """To read, to rate and to delete it is as unknown as one that nobody made."""
    own = await shop.ask()
    for caller in (desk, As(desk.web, "the-key-of-desk")):
        assert code(await caller.send("GET", f"/v1/decisions/{own}")) == UNKNOWN
        assert code(await caller.send("DELETE", f"/v1/decisions/{own}")) == UNKNOWN
        assert code(await caller.send("GET", f"/v1/decisions?after={own}")) == UNKNOWN
        assert code(await caller.rate(decision_id=own)) == UNKNOWN
    for caller in (shop, operator):
        shown = (await caller.send("GET", f"/v1/decisions/{own}")).json()
        assert (shown["decision"]["owner"], shown["feedback"]) == ("shop", [])
        assert shown["request"]["messages"][0]["content"] == "sql 1"


async def test_the_operators_decisions_are_no_callers(shop: As, operator: As) -> None:
    """Neither are those from before there were keys."""
    own = await operator.ask()
    assert code(await shop.send("GET", f"/v1/decisions/{own}")) == UNKNOWN
    assert await shop.ids() == []


async def test_a_list_shows_ones_own(shop: As, desk: As, operator: As) -> None:
    """The operator's shows all, or one owner's."""
    first, second, own = await shop.ask(), await desk.ask(), await operator.ask()
    assert await shop.ids() == [first]
    assert await desk.ids("owner=desk") == [second]
    assert await operator.ids() == [own, second, first]
    assert await operator.ids("owner=shop") == [first]
    assert await operator.ids("owner=") == [own]
    assert code(await shop.send("GET", "/v1/decisions?owner=desk")) == (403, "forbidden")
    assert code(await shop.send("DELETE", "/v1/decisions?owner=desk")) == (403, "forbidden")


async def test_what_a_caller_deletes_is_its_own(shop: As, desk: As, operator: As) -> None:
    """Of two callers with the same names of application and session."""
    asked: dict[str, Any] = {"session": "s1", "metadata": {"application": "chat"}}
    mine, theirs = await shop.ask(**asked), await desk.ask(**asked)
    later = (datetime.now(UTC) + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    for query in ("application=chat", "application=desk:chat"):
        assert (await shop.send("DELETE", f"/v1/decisions?{query}")).json()["deleted"] == 0
    answer = await shop.send("DELETE", f"/v1/decisions?session=s1&before={later}")
    assert answer.json() == {"object": "decisions", "deleted": 1}
    assert await operator.ids() == [theirs]
    assert code(await shop.send("GET", f"/v1/decisions/{mine}")) == UNKNOWN
    assert (await operator.send("DELETE", "/v1/decisions?owner=desk")).json()["deleted"] == 1


async def test_one_decision_is_deleted_with_all_that_hangs_on_it(shop: As) -> None:
    """Its exchange and its feedback too."""
    own = await shop.ask()
    await shop.rate(decision_id=own)
    assert (await shop.send("DELETE", f"/v1/decisions/{own}")).json()["deleted"] is True
    database = shop.web.parts.database
    for table in ("decisions", "outcomes", "feedback", "exchanges"):
        assert await database.number(f"SELECT count(*) FROM {table}") == 0


async def test_to_delete_everything_has_to_be_said(operator: As) -> None:
    """A query that names nothing is more likely a mistake."""
    await operator.ask()
    for query in ("", "?sesion=s1", "?session=s1&sesion=s2"):
        answer = await operator.send("DELETE", f"/v1/decisions{query}")
        assert code(answer) == (400, "invalid_request")
    assert len(await operator.ids()) == 1


@pytest.mark.parametrize("query", ["since=yesterday", "before=2026-01-01T00:00:00", "limit=0"])
async def test_a_query_that_makes_no_sense_is_refused(operator: As, query: str) -> None:
    """A time needs its zone."""
    answer = await operator.send("GET", f"/v1/decisions?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == query.partition("=")[0]


async def test_times_at_the_ends_of_the_calendar(operator: As) -> None:
    """They are times, or refused."""
    for time in ("9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00%2B12:00"):
        assert (await operator.send("GET", f"/v1/decisions?before={time}")).status_code == 400


async def test_a_list_comes_in_pages(shop: As) -> None:
    """Newest first; the cursor is the last id of a page."""
    asked = [await shop.ask(f"sql {i}", metadata={"application": "chat"}) for i in range(3)]
    first = (await shop.send("GET", "/v1/decisions?limit=2&application=shop:chat")).json()
    assert (first["has_more"], first["last_id"]) == (True, asked[1])
    assert await shop.ids(f"limit=2&after={asked[1]}") == [asked[0]]
    assert await shop.ids("order=asc") == asked


async def test_the_same_session_of_two_callers_is_two(shop: As, desk: As) -> None:
    """Neither keeps the other's expert, nor rates the other's answers."""
    await shop.ask("sql 1", session="s1", model="general")
    await desk.ask("sql 1", session="s2", model="general")
    theirs = await desk.ask("sql 1", session="s1")
    chosen = (await desk.send("GET", f"/v1/decisions/{theirs}")).json()["decision"]
    assert chosen["expert"] == "sql"
    said = (await desk.rate(session="s1", scope="session")).json()["data"]
    assert [each["decision_id"] for each in said] == [theirs]


async def test_lines_of_bulk_jobs_are_their_callers(shop: As, desk: As) -> None:
    """As if it had asked them one by one."""
    files = {"file": ("in.jsonl", line("a").encode())}
    source = await shop.send("POST", "/v1/files", files=files, data={"purpose": "batch"})
    body = {"input_file_id": source.json()["id"], "endpoint": "/v1/chat/completions"}
    job = (await shop.send("POST", "/v1/batches", json=body)).json()["id"]

    async def completed() -> bool:
        found = await shop.send("GET", f"/v1/batches/{job}")
        return bool(found.json()["status"] == "completed")

    await until(completed)
    await shop.web.parts.background.finish()
    (own,) = await shop.ids()
    shown = (await shop.send("GET", f"/v1/decisions/{own}")).json()
    assert (shown["decision"]["owner"], shown["request"]["model"]) == ("shop", "sql")
    assert await desk.ids() == []


async def test_one_callers_key_of_a_rating_is_not_anothers(shop: As, desk: As) -> None:
    """Both count, and neither learns of the other."""
    mine, theirs = await shop.ask(), await desk.ask()
    first = (await shop.rate(id="r1", decision_id=mine)).json()
    second = (await desk.rate(id="r1", decision_id=theirs)).json()
    assert (first["decision_id"], second["decision_id"]) == (mine, theirs)
    assert first["id"] != second["id"]


async def test_the_operators_rating_of_a_callers_answer_is_its_own(shop: As, operator: As) -> None:
    """Who said it is kept."""
    own = await shop.ask()
    await operator.rate(decision_id=own)
    await shop.rate(decision_id=own, verdict="failed")
    said = (await shop.send("GET", f"/v1/decisions/{own}")).json()["feedback"]
    assert [(each["owner"], each["verdict"]) for each in said] == [
        ("", "good_fit"),
        ("shop", "failed"),
    ]
