"""What each mode asks, gives and reports."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from itertools import permutations

import pytest

from collegium.errors import ExpertError, ExpertUnavailable, QuorumMissed
from collegium.experts.aggregation.base import Mode, Panel
from collegium.experts.aggregation.cascade import Cascade
from collegium.experts.aggregation.catalogue import make_mode, mode_names
from collegium.experts.aggregation.confidence import Confidence
from collegium.experts.aggregation.events import Chosen, Replied, Said
from collegium.experts.aggregation.grouping import Ballots
from collegium.experts.aggregation.options import Options
from tests.experts.aggregation.scripted import (
    QUESTION,
    Script,
    answer,
    chosen,
    dropped,
    member,
    panel_of,
    run,
    whole,
)


def mode(name: str, **options: object) -> Mode:
    """A mode as a request gets it."""
    return make_mode(name, Options(**options))  # type: ignore[arg-type]


ORDERED = sorted(set(mode_names()) - {"first"})


@pytest.mark.parametrize("name", ORDERED)
async def test_who_finishes_first_changes_nothing(name: str) -> None:
    """The answer, and who gave it, are the same for every order of finishing."""
    says = {"a": "It is 41.", "b": "42", "c": "Answer: 42", ("g", "aggregator"): "Forty-two."}
    found = set()
    for turns in permutations("abc"):
        events = await run(mode(name), panel_of(*"abc", aggregator="g"), Script(says, turns))
        seats = tuple(event.seat for event in events if isinstance(event, Chosen))
        found.add((answer(events), seats))
    assert len(found) == 1


@pytest.mark.parametrize("name", sorted(mode_names()))
async def test_a_reader_that_leaves_cancels_every_call(name: str) -> None:
    """Closing the events closes the experts' streams."""
    script = Script({}, hangs=frozenset("abc"))
    events = mode(name).run(panel_of(*"abc"), QUESTION, script.ask)
    async with aclosing(events):
        if name != "single":  # a panel says first who is asked
            await anext(events)
        waiting = asyncio.create_task(events.__anext__())
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert sorted(script.cancelled) == sorted(call.expert.name for call in script.calls)


@pytest.mark.parametrize("name", sorted(set(mode_names()) - {"single"}))
async def test_a_member_that_fails_is_dropped_and_named(name: str) -> None:
    """The panel answers all the same."""
    says = {"a": ExpertUnavailable("a", "is down"), "b": "42", "c": "42", "g": "42"}
    events = await run(mode(name), panel_of(*"abc", aggregator="g"), Script(says))
    assert answer(events) == "42"
    assert "is down" in dropped(events)[0]


@pytest.mark.parametrize("name", sorted(mode_names()))
async def test_nobody_who_answers_is_an_error(name: str) -> None:
    """The first member's error, as it would be of a single expert."""
    script = Script({name: ExpertError(name, "broken") for name in "abc"})
    with pytest.raises(ExpertError, match="'a': broken"):
        await run(mode(name), panel_of(*"abc"), script)


async def test_too_few_answers_are_no_panel() -> None:
    """A quorum of two is not one; the message says who failed."""
    says = {"a": "42", "b": ExpertError("b", "broken"), "c": ExpertError("c", "broken")}
    with pytest.raises(QuorumMissed, match=r"only 1 of 2 required answers .*'b': broken"):
        await run(mode("vote"), panel_of(*"abc", quorum=2), Script(says))


async def test_late_members_are_dropped() -> None:
    """The time limit ends the waiting."""
    script = Script({"a": "42", "b": "42"}, hangs=frozenset("c"))
    events = await run(mode("moa"), panel_of(*"abc", timeout_s=0.05), script)
    assert dropped(events) == {2: "late"}
    assert script.cancelled == ["c"]


async def test_a_decided_vote_spares_the_rest() -> None:
    """Two of three agree: the third is cancelled."""
    script = Script({"a": "42", "b": "So: the answer is 42"}, hangs=frozenset("c"))
    events = await run(mode("vote"), panel_of(*"abc", quorum=2), script)
    assert answer(events) == "42"
    assert dropped(events) == {2: "not needed"}
    assert chosen(events).groups[0].seats == (0, 1)
    assert script.cancelled == ["c"]


async def test_a_race_is_won_by_the_fastest() -> None:
    """The others stop."""
    script = Script({"a": "slow", "b": "fast"}, hangs=frozenset("a"))
    events = await run(mode("first"), panel_of("a", "b"), script)
    assert answer(events) == "fast"
    assert script.cancelled == ["a"]


async def test_members_are_heard_while_they_speak() -> None:
    """Pieces come before wholes, and make them up."""
    events = await run(mode("vote"), panel_of("a"), Script({"a": "one two three four"}))
    said = [event.text for event in events if isinstance(event, Said)]
    assert len(said) > 1
    assert [e.text for e in events if isinstance(e, Replied)] == ["".join(said)]


async def test_tool_calls_come_whole() -> None:
    """A vote on tool calls gives the winner's own message."""
    call = {"id": "1", "function": {"name": "find", "arguments": '{"a": 1}'}}
    script = Script({name: {"tool_calls": [{"index": 0, **call}]} for name in "abc"})
    answered = whole(await run(mode("vote"), panel_of(*"abc"), script))
    assert answered.choices[0]["message"]["tool_calls"] == [{"type": "function", **call}]


async def test_best_of_n_by_tokens_takes_the_surest() -> None:
    """Members are asked for log-probabilities; the highest mean wins."""
    script = Script({"a": "x", "b": "y"}, logprobs={"a": -1.0, "b": -0.1})
    events = await run(mode("best_of_n"), panel_of("a", "b"), script)
    assert answer(events) == "y"
    assert all(call.body["logprobs"] is True for call in script.calls)
    assert chosen(events).scores[1] == pytest.approx(0.9048, abs=1e-4)


async def test_best_of_n_by_self_asks_the_author() -> None:
    """Who says no to its own answer loses."""
    says = {"a": "x", "b": "y", ("a", "verifier"): "No", ("b", "verifier"): "Yes."}
    script = Script(says)
    assert answer(await run(mode("best_of_n", by="self"), panel_of("a", "b"), script)) == "y"
    assert script.roles()[2:] == [("a", "verifier"), ("b", "verifier")]


async def test_a_judge_sees_other_orders_and_is_believed_by_number() -> None:
    """A judge that always says 1 favours a position: over two orders nobody wins by it alone."""
    script = Script({"a": "first thing", "b": "second thing", ("j", "judge"): "1"})
    panel = panel_of("a", "b", aggregator="j", seed=3)
    events = await run(mode("best_of_n", by="judge"), panel, script)
    judged = [call for call in script.calls if call.role == "judge"]
    shown = [call.body["messages"][-1]["content"] for call in judged]
    assert len({text.index("first") < text.index("second") for text in shown}) == 2
    assert set(chosen(events).scores.values()) == {0.5}


async def test_a_cascade_stops_where_it_is_sure() -> None:
    """The dear expert is asked only when the cheap ones leave doubt."""
    sure = Panel((member("cheap", 0.9), member("dear", 0.95)))
    script = Script({"cheap": "1", "dear": "2"})
    assert answer(await run(mode("cascade"), sure, script)) == "1"
    assert script.roles() == [("cheap", "member")]
    unsure = Panel((member("cheap", 0.5), member("dear", 0.95)))
    script = Script({"cheap": "1", "dear": "2"})
    assert answer(await run(mode("cascade"), unsure, script)) == "2"


async def test_cheap_experts_that_agree_spare_the_dear_one() -> None:
    """Two of 0.6 that agree are surer than 0.8."""
    panel = Panel((member("x", 0.6), member("y", 0.6), member("dear", 0.95)))
    script = Script({"x": "7", "y": "7", "dear": "8"})
    assert answer(await run(mode("cascade"), panel, script)) == "7"
    assert len(script.calls) == 2


async def test_a_cascade_can_listen_to_tokens() -> None:
    """A fitted confidence lowers the chance of an answer that was written with doubts."""
    cascade = Cascade(Ballots(), Confidence(0.0, 1.0, 1.0), threshold=0.8)
    panel = Panel((member("cheap", 0.85), member("dear", 0.95)))
    script = Script({"cheap": "1", "dear": "2"}, logprobs={"cheap": -2.0})
    assert answer(await run(cascade, panel, script)) == "2"


async def test_layers_see_the_layer_before() -> None:
    """Two layers of two and an aggregator are five calls; each layer's answers go on."""
    script = Script({"a": "alpha", "b": "beta", "g": "gamma"})
    events = await run(mode("moa", layers=2), panel_of("a", "b", aggregator="g"), script)
    assert answer(events) == "gamma"
    assert [call.seat for call in script.calls] == [0, 1, 2, 3, 4]
    assert "alpha" in script.calls[2].body["messages"][-1]["content"]
    assert script.roles()[-1] == ("g", "aggregator")


async def test_long_lists_are_put_together_in_windows() -> None:
    """Self-MoA-Seq: five samples in windows of three take two aggregations."""
    script = Script({"a": "sample", ("a", "aggregator"): "together"})
    events = await run(mode("self_moa", window=3), panel_of(*"aaaaa"), script)
    assert answer(events) == "together"
    assert [role for _, role in script.roles()].count("aggregator") == 2
    last = script.calls[-1].body["messages"][-1]["content"]
    assert last.count("together") == 1
    assert last.count("sample") == 2


async def test_an_aggregator_that_fails_leaves_the_first_answer() -> None:
    """Nothing was said yet, so the first member speaks for the panel."""
    says = {"a": "mine", "b": "other", ("g", "aggregator"): ExpertError("g", "broken")}
    events = await run(mode("moa"), panel_of("a", "b", aggregator="g"), Script(says))
    assert answer(events) == "mine"
    assert "broken" in dropped(events)[2]


async def test_diverse_prompts_ask_one_expert_in_several_ways() -> None:
    """The first way is the caller's own prompt; with a schema the ways stay short."""
    script = Script({"a": "42"})
    await run(mode("diverse_prompts"), panel_of(*"aaa", quorum=3), script)
    told = [call.body["messages"][0] for call in script.calls]
    assert told[0]["role"] == "user"
    assert len({message["content"] for message in told}) == 3
    script = Script({"a": "{}"})
    body = {**QUESTION, "response_format": {"type": "json_object"}}
    await run(mode("diverse_prompts"), panel_of(*"aaa", quorum=3), script, body)
    assert all("Answer:" not in str(call.body["messages"]) for call in script.calls)
