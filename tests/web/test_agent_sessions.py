"""An agent's session keeps its expert's prompt cache, and leaves an expert that is stuck."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.web.agents import Upstream, desk, work

TURNS = 30
WISHES = {
    0: "poems and a parser, please write both for me",
    6: "lists of trees would be good to have as well, do add them",
    12: "and tests for it",
    20: "sql 7: mend the query in the third file of this project",
    26: "now document all of that",
}


def experts(answers: list[httpx.Response]) -> list[str]:
    """Who answered each turn."""
    return [answer.headers["x-collegium-expert"] for answer in answers]


@pytest.mark.parametrize("named", [{}, {"prompt_cache_key": "one"}])
async def test_an_agent_keeps_the_cache_of_a_pinned_expert(
    tmp_path: Path, named: dict[str, Any]
) -> None:
    """At least 95 % of the cached tokens that one expert by name gives, over 30 turns."""
    pinned, routed = Upstream(), Upstream()
    async with desk(tmp_path / "pinned", pinned) as service:
        await work(service, TURNS, WISHES, model="general")
    async with desk(tmp_path / "routed", routed) as service:
        answers = await work(service, TURNS, WISHES, **named)
    assert experts(answers)[0] == "general"
    assert len(pinned.asked) == len(routed.asked) == TURNS
    assert routed.cached >= 0.95 * pinned.cached > 100_000


async def test_the_headers_say_why_an_expert_stays(tmp_path: Path) -> None:
    """With the tokens that it keeps."""
    async with desk(tmp_path, Upstream()) as service:
        answers = await work(service, 22, WISHES)
    assert "x-collegium-conversation" not in answers[0].headers
    assert answers[1].headers["x-collegium-conversation"].startswith("stays: tool results; keeps ")
    wished = answers[20]
    assert wished.headers["x-collegium-conversation"].startswith("stays: gain too small; keeps ")
    decision = wished.json()["collegium"]["decision"]
    assert decision["policy"] == "session"
    own = next(f for f in decision["forecasts"] if f["expert"] == "general")
    assert own["cached_tokens"] > 10_000
    assert own["cost_usd"] < own["cached_tokens"] * 3.0 / 1e6


async def test_a_gain_that_pays_for_the_cache_is_taken(tmp_path: Path) -> None:
    """A short session costs little to leave: the SQL expert takes its question."""
    async with desk(tmp_path, Upstream()) as service:
        answers = await work(service, 4, {0: WISHES[0], 3: WISHES[20]}, result=lambda turn: "ok")
    assert experts(answers) == ["general", "general", "general", "sql"]
    assert answers[-1].headers["x-collegium-conversation"] == "leaves general: another is better"


@pytest.mark.parametrize("result", ["the same", "Error: no such file"])
async def test_an_expert_that_is_stuck_is_left_within_two_turns(
    tmp_path: Path, result: str
) -> None:
    """It repeats a call: its chance sinks, another takes over and keeps the session."""
    upstream = Upstream(stuck="general")
    async with desk(tmp_path, upstream) as service:
        answers = await work(
            service,
            10,
            {0: WISHES[0]},
            result=lambda turn: result if upstream.asked[-1] == "general" else f"line {turn}",
        )
    names = experts(answers)
    assert names[:2] == ["general", "general"]
    first = next(turn for turn, name in enumerate(names) if name != "general")
    assert first == 2, "the second identical call was turn 1"
    assert len(set(names[first:])) == 1, "it does not go back"
    decision = answers[first].json()["collegium"]["decision"]
    assert "general seems to be stuck (the same call of read again)" in decision["reason"]
    assert decision["conversation"] == "leaves general: the same call of read again"
