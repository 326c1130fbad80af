"""An agent that works for many turns, and upstreams that say what they have cached."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
from aiohttp import web
from aiohttp.test_utils import TestServer
from threadpoolctl import threadpool_limits

from collegium.registry.expert import Expert
from collegium.router.forecasting import fingerprint
from collegium.router.router import Router
from collegium.router.training import fit_router
from collegium.settings import load_settings
from collegium.web.app import create_app
from collegium.web.serving.build import build
from tests.router.synthetic import POOL, WordEncoder, measured

Json = dict[str, Any]
CHARACTERS_A_TOKEN = 4
TOOLS = [{"type": "function", "function": {"name": "read", "parameters": {"type": "object"}}}]


@dataclass
class Upstream:
    """A server of several models, each with a prompt cache of its own."""

    stuck: str | None = None
    """The model that makes the same call whatever it is told."""
    asked: list[str] = field(default_factory=list)
    """The model of each request."""
    cached: int = 0
    """Tokens that came from a cache."""
    _prompts: dict[str, list[str]] = field(default_factory=dict)

    def app(self) -> web.Application:
        """The server."""
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._answer)
        return app

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.json()
        model = body["model"]
        self.asked.append(model)
        prompt = json.dumps([body.get("tools"), body["messages"]])
        seen = self._prompts.setdefault(model, [])
        cached = max((_common(prompt, other) for other in seen), default=0) // CHARACTERS_A_TOKEN
        seen.append(prompt)
        self.cached += cached
        length = len(prompt) // CHARACTERS_A_TOKEN
        details = {"prompt_tokens_details": {"cached_tokens": cached}}
        usage = {"prompt_tokens": length, "completion_tokens": 20, "total_tokens": length + 20}
        path = "same" if model == self.stuck else f"file{len(body['messages'])}"
        function = {"name": "read", "arguments": json.dumps({"path": path})}
        call = {"id": f"call{len(body['messages'])}", "type": "function", "function": function}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
        told = {"id": "1", "object": "chat.completion", "created": 1, "model": model}
        return web.json_response({**told, "choices": [choice], "usage": usage | details})


def _common(one: str, other: str) -> int:
    """How many characters two texts have in common at their beginning."""
    pairs = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


@dataclass
class Desk:
    """A service whose experts are models of the upstream."""

    http: httpx.AsyncClient
    upstream: Upstream

    async def turn(self, messages: Sequence[Json], **fields: Any) -> httpx.Response:
        """Ask for one turn of an agent."""
        body = {"messages": list(messages), "tools": TOOLS, **fields}
        answer = await self.http.post("/v1/chat/completions", json=body)
        assert answer.status_code == 200, answer.text
        return answer


@asynccontextmanager
async def desk(folder: Path, upstream: Upstream, **prices: float) -> AsyncIterator[Desk]:
    """A running service that reaches its experts over the network."""
    async with TestServer(upstream.app()) as server:
        experts = [_served(e, str(server.make_url("/v1")), prices) for e in POOL]
        outcomes = replace(measured(experts), fingerprints=[fingerprint(e) for e in experts])
        parts = build(load_settings(embedded=False, data_dir=folder))
        with threadpool_limits(1):  # the fit takes longer where others use the cores
            fitted = fit_router(outcomes, WordEncoder())
        parts.router.put(Router(WordEncoder(), fitted, parts.speeds))
        await parts.database.migrate()
        for expert in experts:
            await parts.registry.register(expert)
        app = create_app(parts=parts)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://localhost") as http,
        ):
            yield Desk(http, upstream)
            await parts.background.finish()
    shutil.rmtree(folder)


def _served(expert: Expert, url: str, prices: dict[str, float]) -> Expert:
    return Expert(
        expert.name,
        "openai",
        expert.name,
        base_url=url,
        input_price=prices.get("input", 3.0),
        output_price=prices.get("output", 15.0),
        prices={"cached_input": prices.get("cached", 0.3)},
        context_window=1_000_000,
        generalist=expert.generalist,
    )


async def work(
    desk: Desk,
    turns: int,
    wishes: dict[int, str],
    *,
    result: Callable[[int], str] = lambda turn: f"line {turn}: " + 200 * f"{turn} some code; ",
    **fields: Any,
) -> list[httpx.Response]:
    """Let an agent work: each turn brings a tool's result, or the user's next wish."""
    messages: list[Json] = [{"role": "system", "content": "You are an agent. " * 200}]
    messages.append({"role": "user", "content": wishes[0]})
    answers = []
    for turn in range(turns):
        answers.append(answer := await desk.turn(messages, **fields))
        messages.append(answer.json()["choices"][0]["message"])
        call = messages[-1]["tool_calls"][0]["id"]
        messages.append({"role": "tool", "tool_call_id": call, "content": result(turn)})
        if turn + 1 in wishes:
            messages.append({"role": "user", "content": wishes[turn + 1]})
    return answers
