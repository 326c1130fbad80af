"""A pause that a provider asked for, and the probe that ends it."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from collegium.errors import ProbeFailed, RateLimited
from collegium.experts.clients.reply import Call
from collegium.experts.dispatch.dispatcher import Dispatcher
from collegium.experts.pool import Pool
from collegium.experts.registration import Registration
from collegium.registry.expert import Expert
from collegium.registry.experts import ExpertRegistry
from collegium.registry.state import MemoryState
from tests.experts.scripted_server import Raw, Request, response, scripted

SAID = {"choices": [{"message": {"role": "assistant", "content": "hello"}}]}


@dataclass
class Provider:
    """Answers chats, or refuses them for longer than anybody waits."""

    refuses: bool = False
    chats: list[Request] = field(default_factory=list)

    def __call__(self, request: Request) -> Raw:
        if request.path.endswith("/models"):
            return response(body={"data": [{"id": "m"}]})
        if not request.path.endswith("/chat/completions"):
            return response(404, body={})
        self.chats.append(request)
        if self.refuses:
            return response(429, body={}, headers={"Retry-After": "99999999999999999999"})
        return response(body=SAID)


async def asked(pool: Pool, expert: Expert) -> str:
    """Its answer."""
    async with pool.ask(Call(expert, {"messages": [{"role": "user", "content": "?"}]})) as reply:
        return (await reply.whole()).text


@pytest.mark.parametrize("again", ["probe", "register"])
async def test_a_probe_is_sent_in_spite_of_a_pause_and_ends_it(
    registry: ExpertRegistry, again: str
) -> None:
    """For every process; while the provider still refuses, the pause goes on."""
    state, provider = MemoryState(), Provider()
    one, other = (
        Pool({}, timeout_s=10.0, dispatcher=Dispatcher(state, patience_s=10.0)) for _ in range(2)
    )
    registration = Registration(registry, one)
    async with scripted(provider) as server:
        expert = Expert("it", "openai", "m", base_url=server.url)
        expert, _ = await registration.register(expert)
        provider.refuses = True
        for words in ("no more requests now", "no more requests for a while"):
            with pytest.raises(RateLimited, match=words):
                await asked(other, expert)
        assert other.dispatcher.pauses()["it"] == pytest.approx(3600, abs=5)
        before = len(provider.chats)
        with pytest.raises(ProbeFailed, match="no more requests now"):
            await registration.probe_again("it")
        assert len(provider.chats) > before
        with pytest.raises(RateLimited, match="no more requests for a while"):
            await asked(one, expert)

        provider.refuses = False
        if again == "probe":
            await registration.probe_again("it")
        else:
            await registration.remove("it")
            await registration.register(expert)
        assert await asked(one, expert) == "hello"
        assert one.dispatcher.pauses() == {"it": 0.0}
        third = Pool({}, timeout_s=10.0, dispatcher=Dispatcher(state, patience_s=10.0))
        assert await asked(third, expert) == "hello"
    for pool in (one, other, third):
        await pool.aclose()
