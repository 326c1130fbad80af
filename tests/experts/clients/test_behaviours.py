"""Every behaviour of upstreams through the client: an answer, or an error that says what came."""

from __future__ import annotations

import pytest

from collegium.errors import CollegiumError
from collegium.experts.clients.events import AnswerEvent
from collegium.experts.clients.http import HttpExpert
from collegium.experts.clients.reply import Answer, Call, Fold
from tests.experts.behaviours import BEHAVIOURS, Behaviour
from tests.experts.clients.asking import BODY, TINY
from tests.experts.scripted_server import scripted


async def answered(behaviour: Behaviour, seen: list[AnswerEvent], *, stream: bool) -> Answer:
    """The answer of an upstream that behaves so; `seen` keeps the events until it fails."""
    fold = Fold()
    async with scripted(behaviour.respond) as server:
        client = HttpExpert("tiny", server.url, "tiny-1", timeout_s=5.0)
        try:
            async with client.ask(Call(TINY, BODY, stream=stream)) as reply:
                await reply.begin("tiny")
                async for event in reply:
                    seen.append(event)
                    fold.take(event)
        finally:
            await client.aclose()
    return fold.answer()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", BEHAVIOURS)
async def test_an_upstream_is_an_answer_or_a_named_error(name: str, stream: bool) -> None:
    """Nothing that was said is lost, and before a word is said another may answer."""
    behaviour, seen = BEHAVIOURS[name], list[AnswerEvent]()
    if not behaviour.code:
        assert (await answered(behaviour, seen, stream=stream)).text == behaviour.said
        return
    with pytest.raises(CollegiumError) as info:
        await answered(behaviour, seen, stream=stream)
    assert bool(seen) == (stream and behaviour.begins)
    if stream or not behaviour.begins:
        assert info.value.code in (behaviour.code, "expert_error" if not stream else "")
    assert "sk-1" not in info.value.public
