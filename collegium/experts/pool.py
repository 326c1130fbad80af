"""All experts that can be asked: from a registry's expert to the client that reaches it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

from collegium.errors import ExpertUnavailable
from collegium.experts.client import ExpertClient, HttpExpert, Json
from collegium.experts.engine_expert import EngineExpert, EngineLink
from collegium.experts.litellm_client import LiteLLMExpert
from collegium.experts.roster import adapter_folder
from collegium.experts.supervisor import Supervisor
from collegium.registry.expert import Expert


class Pool:
    """Clients by expert, made on first use and made anew when the expert changes."""

    def __init__(self, engines: Mapping[str, Supervisor], *, timeout_s: float) -> None:
        self.engines = engines
        self._links = {name: EngineLink(engine, timeout_s) for name, engine in engines.items()}
        self._timeout_s = timeout_s
        self._clients: dict[str, tuple[Expert, ExpertClient]] = {}
        self._retired: list[ExpertClient] = []

    async def complete(self, expert: Expert, body: Mapping[str, Any]) -> Json:
        """Ask an expert and return its whole answer."""
        return await (await self._client(expert)).complete(body)

    async def stream(self, expert: Expert, body: Mapping[str, Any]) -> AsyncIterator[Json]:
        """Ask an expert and yield its answer's chunks; closing cancels the generation."""
        client = await self._client(expert)
        async with aclosing(client.stream(body)) as chunks:  # type: ignore[type-var]
            async for chunk in chunks:
                yield chunk

    def unavailable(self, expert: Expert) -> ExpertUnavailable | None:
        """Say why an expert can't answer now; None when nothing is known against it."""
        if expert.engine is None:
            return None
        try:
            self._link(expert).engine.require_ready(expert.name)
        except ExpertUnavailable as exc:
            return exc
        return None

    async def aclose(self) -> None:
        """Close every client."""
        for client in [*self._retired, *(client for _, client in self._clients.values())]:
            await client.aclose()
        for link in self._links.values():
            await link.aclose()

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
        link = self._links.get(expert.engine or "")
        if link is None:
            message = f"its engine '{expert.engine}' is not run by this service"
            raise ExpertUnavailable(expert.name, message, retry_after_s=60)
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
