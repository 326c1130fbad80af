"""All experts that can be asked: from a registry's expert to the client that reaches it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    aclosing,
    asynccontextmanager,
    nullcontext,
)
from typing import Any

from collegium.errors import ExpertTimeout, ExpertUnavailable
from collegium.experts.client import ExpertClient, HttpExpert, Json
from collegium.experts.dispatch.dispatcher import Dispatcher, Spot
from collegium.experts.dispatch.terms import ANY_TIME, Terms
from collegium.experts.engine_expert import EngineExpert, EngineLink
from collegium.experts.litellm_client import LiteLLMExpert
from collegium.experts.residency.live import Residents
from collegium.experts.roster import adapter_folder
from collegium.experts.supervisor import Supervisor
from collegium.registry.expert import Expert


class Pool:
    """Clients by expert, made on first use and made anew when the expert changes.

    Each request waits for its turn: a place that answers (an engine, an endpoint) runs so many at
    once as its batch holds.
    """

    def __init__(
        self,
        engines: Mapping[str, Supervisor],
        *,
        timeout_s: float,
        first_token_timeout_s: float | None = None,
        remote_concurrency: int = 64,
        dispatcher: Dispatcher | None = None,
        residents: Residents | None = None,
    ) -> None:
        self.engines = engines
        self._residents = residents
        self.dispatcher = dispatcher or Dispatcher(patience_s=timeout_s)
        self._links: dict[str, EngineLink] = {}
        self._timeout_s = timeout_s
        self._first_token_timeout_s = first_token_timeout_s or timeout_s
        self._remote_concurrency = remote_concurrency
        self._clients: dict[str, tuple[Expert, ExpertClient]] = {}
        self._remote: dict[str, tuple[Expert, Spot]] = {}
        self._retired: list[ExpertClient] = []

    async def complete(
        self, expert: Expert, body: Mapping[str, Any], terms: Terms = ANY_TIME
    ) -> Json:
        """Ask an expert when it is this request's turn, and return its whole answer."""
        client = await self._client(expert)
        async with (
            self._loaded(expert, terms),
            self.dispatcher.turn(expert, self.spot(expert), terms) as turn,
        ):
            answer = await client.complete(body)
            turn.first()
            return answer

    async def stream(
        self, expert: Expert, body: Mapping[str, Any], terms: Terms = ANY_TIME
    ) -> AsyncIterator[Json]:
        """Ask an expert and yield its answer's chunks; closing cancels the generation."""
        client = await self._client(expert)
        async with (
            self._loaded(expert, terms),
            self.dispatcher.turn(expert, spot := self.spot(expert), terms) as turn,
            aclosing(client.stream(body)) as chunks,  # type: ignore[type-var]
        ):
            first = await self._first(expert, chunks)
            if first is None:
                return
            await self.dispatcher.began(spot, turn)
            yield first
            async for chunk in chunks:
                yield chunk

    def unavailable(self, expert: Expert) -> ExpertUnavailable | None:
        """Say why an expert can't answer now; None when nothing is known against it.

        Where engines take turns, one that is not loaded will be when it is asked.
        """
        if self._residents is not None and self._takes_turns(expert):
            name = expert.engine or ""
            if self.engines[name].status.state != "ready":
                return self._residents.refusal(name)
        try:
            return self.dispatcher.refusal(expert, self.spot(expert))
        except ExpertUnavailable as exc:
            return exc

    @property
    def waits(self) -> Callable[[Expert, float | None], float] | None:
        """Forecasts the seconds until an expert's engine is loaded; None if none takes turns.

        Its second argument is within how many seconds the engine is wanted, None for whenever.
        """
        return None if self._residents is None else self._wait_s

    def _wait_s(self, expert: Expert, within_s: float | None) -> float:
        if self._residents is None or not self._takes_turns(expert):
            return 0.0
        deadline = None if within_s is None else time.monotonic() + within_s
        return self._residents.wait_s(expert.engine or "", deadline)

    def spot(self, expert: Expert) -> Spot:
        """Where an expert is asked; ExpertUnavailable when its engine is not ready.

        Each process of an engine has circuits of its own: a new one starts without blame.
        """
        if expert.engine is None:
            known = self._remote.get(expert.name)
            if known is None or known[0] is not expert:
                place = expert.base_url or expert.name
                spot = Spot(place, self._remote_concurrency, expert.name, shared=True)
                known = self._remote[expert.name] = (expert, spot)
            return known[1]
        engine = self._link(expert).engine
        engine.require_ready(expert.name)
        circuit = f"{expert.name} on {engine.name} {engine.incarnation}"
        return Spot(engine.name, engine.spec.max_sequences, circuit, shared=False)

    def _loaded(self, expert: Expert, terms: Terms) -> AbstractAsyncContextManager[None]:
        """Have the expert's engine loaded meanwhile, where engines take turns."""
        if self._residents is None or not self._takes_turns(expert):
            return nullcontext()
        return self._held(self._residents, expert, terms)

    @asynccontextmanager
    async def _held(
        self, residents: Residents, expert: Expert, terms: Terms
    ) -> AsyncGenerator[None]:
        came = time.monotonic()
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(self._timeout_s):
                    held = residents.hold(
                        expert.engine or "",
                        deadline=terms.turn_by,
                        foretells=terms.priority != "background",
                    )
                    await stack.enter_async_context(held)
            except TimeoutError as exc:
                raise ExpertUnavailable(expert.name, "its engine's turn did not come") from exc
            if terms.on_loaded is not None:
                terms.on_loaded(time.monotonic() - came)
            yield

    def _takes_turns(self, expert: Expert) -> bool:
        return self._residents is not None and expert.engine in self._residents

    async def follow(self, experts: Sequence[Expert]) -> None:
        """Let go of experts that are gone: their clients, and their adapters in engines."""
        names = {expert.name for expert in experts}
        self._remote.clear()
        for name in [name for name in self._clients if name not in names]:
            _, client = self._clients.pop(name)
            self._retired.append(client)
            if isinstance(client, EngineExpert):
                await client.retire()

    async def aclose(self) -> None:
        """Close every client."""
        for client in [*self._retired, *(client for _, client in self._clients.values())]:
            await client.aclose()
        for link in self._links.values():
            await link.aclose()
        await self.dispatcher.aclose()

    async def _first(self, expert: Expert, chunks: AsyncIterator[Json]) -> Json | None:
        """The first chunk; ExpertTimeout where it does not come, None where there is none."""
        try:
            async with asyncio.timeout(self._first_token_timeout_s):
                return await anext(chunks, None)
        except TimeoutError as exc:
            raise ExpertTimeout(expert.name, "no first token in time") from exc

    async def _client(self, expert: Expert) -> ExpertClient:
        known = self._clients.get(expert.name)
        if known is not None and known[0] == expert:
            return known[1]
        client = self._make(expert)
        if known is not None:
            self._retired.append(known[1])  # it may still be answering
        self._clients[expert.name] = (expert, client)
        return client

    def _make(self, expert: Expert) -> ExpertClient:
        if expert.kind in ("engine", "lora"):
            link = self._link(expert)
            return EngineExpert(expert.name, link, expert.model, adapter_folder(expert))
        key = api_key(expert)
        if expert.kind == "litellm":
            return LiteLLMExpert(
                expert.name,
                expert.model,
                base_url=expert.base_url,
                api_key=key,
                timeout_s=self._timeout_s,
            )
        base_url = expert.base_url or ""
        return HttpExpert(
            expert.name, base_url, expert.model, api_key=key, timeout_s=self._timeout_s
        )

    def _link(self, expert: Expert) -> EngineLink:
        name = expert.engine or ""
        engine = self.engines.get(name)
        if engine is None:
            message = f"its engine '{expert.engine}' is not run by this service"
            raise ExpertUnavailable(expert.name, message, retry_after_s=60)
        link = self._links.get(name)
        if link is None or link.engine is not engine:
            link = self._links[name] = EngineLink(engine, self._timeout_s)
        return link


def api_key(expert: Expert) -> str | None:
    """Read the endpoint's key from the environment variable that the expert names."""
    if expert.api_key_env is None:
        return None
    key = os.environ.get(expert.api_key_env, "").strip()
    problem = None if key else "is not set"
    if not (key.isascii() and key.isprintable()):  # an error further on might quote it
        problem = "holds characters that no header can carry"
    if problem is not None:
        message = f"the environment variable {expert.api_key_env} with its API key {problem}"
        raise ExpertUnavailable(expert.name, message, retry_after_s=60)
    return key
