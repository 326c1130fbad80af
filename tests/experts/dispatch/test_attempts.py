"""Failover and hedging over real connections: answers are whole, of one expert, and never twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest

from collegium.errors import (
    ExpertBusy,
    ExpertError,
    ExpertRejected,
    ExpertTimeout,
    ExpertUnavailable,
)
from collegium.experts.clients.events import Text
from collegium.experts.clients.reply import Call
from collegium.experts.dispatch.attempts import MOST_ATTEMPTS, Attempts, Gate
from collegium.experts.dispatch.dispatcher import Dispatcher
from collegium.experts.dispatch.place import ENOUGH_TO_HEDGE
from collegium.experts.dispatch.terms import Lost, Terms
from collegium.experts.pool import Pool
from collegium.registry.expert import Expert
from tests.experts.api_server import ApiServer
from tests.servers import free_port

BODY = {"messages": [{"role": "user", "content": "Hi"}]}


def nobody() -> Expert:
    """An expert whose address refuses connections."""
    return Expert("nobody", "openai", "x", base_url=f"http://127.0.0.1:{free_port()}/v1")


def here(api: ApiServer, model: str) -> Expert:
    """An expert on the server."""
    return Expert(model, "openai", model, base_url=api.url)


def call(*experts: Expert, stream: bool = False) -> Call:
    """A call to the first, which the others may answer instead."""
    return Call(experts[0], BODY, stream=stream, instead=experts[1:])


def streamed(pool: Pool, *experts: Expert, hedge: bool = False) -> Attempts:
    """The attempts of a streamed call."""
    return Attempts(pool, call(*experts, stream=True), Terms(hedge=hedge))


def seeing(pool: Pool, *experts: Expert) -> Attempts:
    """The attempts of a streamed call with an image."""
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
    body = {"messages": [{"role": "user", "content": [image]}]}
    return Attempts(pool, Call(experts[0], body, stream=True, instead=experts[1:]))


async def text(attempts: Attempts, said: list[str] | None = None) -> str:
    """An answer's text; `said` keeps what was said before a failure."""
    said = [] if said is None else said
    async with attempts as reply:
        async for event in reply:
            if isinstance(event, Text):
                said.append(event.text)
    return "".join(said)


async def whole(pool: Pool, *experts: Expert) -> str:
    """A whole answer's text."""
    return await text(Attempts(pool, call(*experts)))


@pytest.mark.parametrize("model", ["500", "502", "503", "429"])
async def test_the_next_candidate_answers_when_the_first_can_not(
    pool: Pool, api: ApiServer, model: str
) -> None:
    """Whole and streamed; what was tried is told."""
    for way in ("whole", "streamed"):
        attempts = Attempts(
            pool, call(here(api, model), here(api, "tiny"), stream=way == "streamed")
        )
        assert await text(attempts) == ("Hello" if way == "streamed" else "Hello from tiny")
        assert attempts.expert.name == "tiny"
        assert [tried.expert for tried in attempts.tried] == [model]
        assert attempts.tried[0].error.startswith(f"expert '{model}'")


async def test_a_refused_connection_moves_on(pool: Pool, api: ApiServer) -> None:
    """Nobody listens there."""
    attempts = streamed(pool, nobody(), here(api, "tiny"))
    assert await text(attempts) == "Hello"
    assert attempts.tried[0].code == "expert_unavailable"


@pytest.mark.parametrize("model", ["400", "404", "422", "too-long"])
async def test_a_refusal_is_tried_elsewhere(pool: Pool, api: ApiServer, model: str) -> None:
    """The next one may do what the first can't."""
    assert await text(streamed(pool, here(api, model), here(api, "tiny"))) == "Hello"
    assert len(api.requests) == 2


async def test_what_two_refuse_alike_is_the_callers_fault(pool: Pool, api: ApiServer) -> None:
    """Nobody else is asked; the error says who was."""
    other = Expert("other", "openai", "400", base_url=api.url)
    attempts = streamed(pool, here(api, "400"), other, here(api, "tiny"))
    with pytest.raises(ExpertRejected, match="'400': refused with 400") as info:
        await text(attempts)
    assert len(api.requests) == 2
    assert "also asked: 'other': expert_rejected" in info.value.public


async def test_what_is_too_long_goes_to_the_largest_window(pool: Pool, api: ApiServer) -> None:
    """Before the others in their order."""
    small = Expert("small", "openai", "too-long", base_url=api.url, context_window=4096)
    large = Expert("large", "openai", "tiny", base_url=api.url, context_window=32768)
    attempts = streamed(pool, here(api, "too-long"), small, large)
    assert await text(attempts) == "Hello"
    assert attempts.expert is large
    assert len(api.requests) == 2


@pytest.mark.parametrize("model", ["half", "error-event"])
async def test_after_the_first_chunk_nobody_else_is_asked(
    pool: Pool, api: ApiServer, model: str
) -> None:
    """What was said stays said, once, and the failure is raised."""
    attempts = streamed(pool, here(api, model), here(api, "tiny"))
    said: list[str] = []
    with pytest.raises(ExpertError):
        await text(attempts, said)
    assert said == ["Hel"]
    assert len(api.requests) == 1
    assert attempts.expert.name == model


async def test_when_all_fail_the_first_ones_error_is_told(pool: Pool, api: ApiServer) -> None:
    """And no request is multiplied without end."""
    candidates = [here(api, "503"), *(here(api, "500") for _ in range(9))]
    attempts = streamed(pool, *candidates)
    with pytest.raises(ExpertUnavailable, match="'503'"):
        await text(attempts)
    assert len(api.requests) == MOST_ATTEMPTS
    assert len(attempts.tried) == MOST_ATTEMPTS
    assert attempts.expert.name == "503"


async def test_an_expert_that_keeps_failing_is_left_alone(pool: Pool, api: ApiServer) -> None:
    """Its breaker opens, and nobody even tries until it has rested."""
    expert = here(api, "500")
    for _ in range(5):
        with pytest.raises(ExpertError, match="answered 500"):
            await whole(pool, expert)
    assert "left alone" in str(pool.unavailable(expert))
    with pytest.raises(ExpertUnavailable, match="left alone"):
        await whole(pool, expert)
    assert len(api.requests) == 5
    assert pool.dispatcher.circuits() == {"500": "open"}


async def test_refusals_open_no_breaker(pool: Pool, api: ApiServer) -> None:
    """Who refuses lives."""
    for _ in range(9):
        with pytest.raises(ExpertRejected):
            await whole(pool, here(api, "400"))
    assert pool.unavailable(here(api, "400")) is None


async def test_a_silent_stream_is_given_up_at_its_time(api: ApiServer) -> None:
    """It took the connection and says nothing: the next answers."""
    pool = Pool({}, timeout_s=10.0, first_token_timeout_s=0.3)
    attempts = streamed(pool, here(api, "slow"), here(api, "tiny"))
    assert await text(attempts) == "Hello"
    assert attempts.tried[0].code == ExpertTimeout.code
    await pool.aclose()


async def test_a_busy_experts_queue_moves_on(api: ApiServer) -> None:
    """Where the caller allows another one; else 429."""
    dispatcher = Dispatcher(depth=1, patience_s=30.0)
    pool = Pool({}, timeout_s=10.0, remote_concurrency=1, dispatcher=dispatcher)
    slow = Expert("slow", "openai", "slow", base_url=api.url.replace("127.0.0.1", "localhost"))
    running = [asyncio.create_task(whole(pool, slow)) for _ in range(2)]
    await asyncio.sleep(0.05)
    assert pool.dispatcher.waiting()["slow"] == 1
    with pytest.raises(ExpertBusy):
        await whole(pool, slow)
    attempts = streamed(pool, slow, here(api, "tiny"))
    await text(attempts)
    assert [tried.code for tried in attempts.tried] == ["expert_busy"]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    assert not any(pool.dispatcher.busy().values())
    await pool.aclose()


async def test_a_late_first_chunk_is_hedged(pool: Pool, api: ApiServer) -> None:
    """The second expert's answer comes; the first one is hung up on and its slot is free."""
    for _ in range(ENOUGH_TO_HEDGE):
        pool.dispatcher.pace("slow").began(0.05)
    slow, tiny = here(api, "slow"), here(api, "tiny")
    attempts = streamed(pool, slow, tiny, hedge=True)
    assert await text(attempts) == "Hello"
    assert attempts.expert.name == "tiny"
    assert [(t.expert, t.code) for t in attempts.tried] == [("slow", "slower")]
    assert not any(pool.dispatcher.busy().values())


async def test_the_slower_of_two_is_paid_for(pool: Pool, api: ApiServer) -> None:
    """It had read the prompt when it was hung up on."""
    for _ in range(ENOUGH_TO_HEDGE):
        pool.dispatcher.pace("slow").began(0.05)
    attempts = streamed(pool, here(api, "slow"), here(api, "tiny"), hedge=True)
    await text(attempts)
    (lost,) = attempts.lost
    assert lost.expert.name == "slow"
    assert lost.prompt_tokens > 0


async def test_refusals_cost_nothing(pool: Pool, api: ApiServer) -> None:
    """Nor does who is not there."""
    for expert in (here(api, "400"), here(api, "429"), here(api, "503"), nobody()):
        attempts = streamed(pool, expert, here(api, "tiny"))
        await text(attempts)
        assert attempts.lost == []


async def test_nobody_else_is_asked_after_the_deadline(api: ApiServer) -> None:
    """The answer would come too late from anybody."""
    terms = Terms(deadline=time.monotonic() + 0.4)
    pool = Pool({}, timeout_s=10.0, first_token_timeout_s=0.5)
    asked = call(here(api, "slow"), here(api, "tiny"), stream=True)
    with pytest.raises(ExpertTimeout):
        await text(Attempts(pool, asked, terms))
    assert [body["model"] for _, _, body in api.requests] == ["slow"]
    await pool.aclose()


class Spent(Gate):
    """Pays for one attempt."""

    def affords(self, expert: Expert, lost: Sequence[Lost]) -> bool:
        """Only the first."""
        return not lost


async def test_nobody_is_asked_who_can_not_be_paid(api: ApiServer) -> None:
    """What was lost before counts."""
    pool = Pool({}, timeout_s=10.0, first_token_timeout_s=0.3)
    asked = call(here(api, "slow"), here(api, "tiny"), stream=True)
    attempts = Attempts(pool, asked, gate=Spent())
    with pytest.raises(ExpertTimeout):
        await text(attempts)
    assert len(api.requests) == len(attempts.lost) == 1
    await pool.aclose()


async def test_who_is_known_to_lack_it_as_well_is_not_asked(pool: Pool, api: ApiServer) -> None:
    """A refusal for a missing capability goes on to who may have it."""
    lacking = Expert("blind", "openai", "tiny", base_url=api.url, capabilities={"images": False})
    attempts = seeing(pool, here(api, "no-images"), lacking, here(api, "tiny"))
    assert await text(attempts) == "Hello"
    assert attempts.expert.name == "tiny"


async def test_many_refusals_are_no_reason_to_give_up(pool: Pool, api: ApiServer) -> None:
    """As long as each says what it lacks; failures are another thing."""
    blind = [Expert(f"{n}", "openai", "no-images", base_url=api.url) for n in range(6)]
    attempts = seeing(pool, *blind, here(api, "tiny"))
    assert await text(attempts) == "Hello"
    assert {tried.code for tried in attempts.tried} == {"capability_missing"}


async def test_who_is_left_alone_is_no_attempt(pool: Pool, api: ApiServer) -> None:
    """Nobody was asked, so nothing was tried in vain."""
    resting = [Expert(f"{n}", "openai", "x", base_url=f"{api.url}/{n}") for n in range(5)]
    for expert in resting:
        await pool.dispatcher._shared.rest(expert.name, 60.0)
    assert await text(streamed(pool, *resting, here(api, "tiny"))) == "Hello"


async def test_who_is_in_time_is_not_hedged(pool: Pool, api: ApiServer) -> None:
    """And before there are measurements nobody is."""
    attempts = streamed(pool, here(api, "tiny"), here(api, "other"), hedge=True)
    await text(attempts)
    for _ in range(ENOUGH_TO_HEDGE):
        pool.dispatcher.pace("tiny").began(5.0)
    await text(attempts)
    assert {body["model"] for _, _, body in api.requests} == {"tiny"}


async def test_a_failure_of_one_hedged_request_waits_for_the_other(
    pool: Pool, api: ApiServer
) -> None:
    """As failover would."""
    for _ in range(ENOUGH_TO_HEDGE):
        pool.dispatcher.pace("slow").began(0.01)
    attempts = streamed(pool, here(api, "slow"), here(api, "503"), hedge=True)
    assert await text(attempts) == "Hello"
    assert attempts.expert.name == "slow"
    assert [tried.expert for tried in attempts.tried] == ["503"]


async def test_closing_before_the_first_chunk_frees_the_slot(pool: Pool, api: ApiServer) -> None:
    """The client left while it waited."""
    attempts = streamed(pool, here(api, "slow"))
    waiting = asyncio.create_task(text(attempts))
    await asyncio.sleep(0.1)
    assert sum(pool.dispatcher.busy().values()) == 1
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert sum(pool.dispatcher.busy().values()) == 0


async def test_who_thinks_long_has_begun(api: ApiServer) -> None:
    """The time to the first token is that to the first chunk: models may think in silence."""
    pool = Pool({}, timeout_s=10.0, first_token_timeout_s=0.3)
    attempts = streamed(pool, here(api, "thinks"), here(api, "tiny"))
    assert await text(attempts) == "lo"
    assert attempts.expert.name == "thinks"
    await pool.aclose()
