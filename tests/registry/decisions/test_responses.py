"""Kept responses: whose they are, and what deletes them."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from collegium.registry.decisions.log import DecisionLog, DecisionRecord, ExchangeRecord
from collegium.registry.decisions.responses import ResponseRecord, ResponseRegistry
from collegium.registry.decisions.retention import Retention
from collegium.registry.decisions.selection import Selection
from collegium.registry.storage.database import Database

MakeDecision = Callable[..., DecisionRecord]


@pytest.fixture
async def responses(
    database: Database, log: DecisionLog, make_decision: MakeDecision
) -> ResponseRegistry:
    """Three responses of a conversation, each of 100 bytes beside an exchange of 100."""
    registry = ResponseRegistry(database)
    for number, owner in enumerate(("ann", "ann", "bob")):
        await log.record(make_decision(f"dec_{number}", owner=owner))
        exchange = ExchangeRecord(f"dec_{number}", owner, None, None, 100, "{}", "{}")
        await log.exchange(exchange)
        await registry.add(response(number, owner))
    return registry


def response(number: int, owner: str = "ann") -> ResponseRecord:
    """A response to the decision of the same number."""
    earlier = tuple(f"resp_{n}" for n in range(number))
    return ResponseRecord(f"resp_{number}", f"dec_{number}", owner, earlier, 100, "[]", "{}")


ALL = ("resp_0", "resp_1", "resp_2")


async def test_they_are_read_back_by_their_owners(responses: ResponseRegistry) -> None:
    """Whole; the operator reads all."""
    found = await responses.get(ALL)
    assert set(found) == set(ALL)
    assert found["resp_2"].earlier == ("resp_0", "resp_1")
    assert set(await responses.get(ALL, scope=frozenset({"ann"}))) == {"resp_0", "resp_1"}
    assert await responses.get(["resp_9"]) == {}


async def test_they_are_deleted_by_their_owners(responses: ResponseRegistry) -> None:
    """Or by the operator; once."""
    assert not await responses.delete("resp_0", scope=frozenset({"bob"}))
    assert await responses.delete("resp_0", scope=frozenset({"ann"}))
    assert not await responses.delete("resp_0")
    assert await responses.delete("resp_2")
    assert set(await responses.get(ALL)) == {"resp_1"}


async def test_they_are_deleted_with_their_decisions(
    database: Database, responses: ResponseRegistry
) -> None:
    """However those are chosen."""
    assert await Retention(database).delete(Selection(scope=frozenset({"ann"}))) == 2
    assert set(await responses.get(ALL)) == {"resp_2"}


async def test_they_count_towards_the_room(database: Database, responses: ResponseRegistry) -> None:
    """And go with the oldest exchanges."""
    assert await Retention(database, max_bytes=600).prune() == 0
    assert await Retention(database, max_bytes=500).prune() == 1
    assert len(await responses.get(ALL)) == 2
    assert await Retention(database, max_bytes=0).prune() == 2
    assert await responses.get(ALL) == {}


async def test_one_whose_decision_is_gone_is_not_kept(
    responses: ResponseRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says so, and nobody's answer fails of it."""
    with caplog.at_level(logging.INFO):
        await responses.add(response(9))
    assert "resp_9 is not kept" in caplog.text
    assert await responses.get(["resp_9"]) == {}
