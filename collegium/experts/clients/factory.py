"""The clients of all experts: made on first use, and made anew when the expert changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from collegium.errors import ExpertUnavailable
from collegium.experts.clients.api_keys import USUAL, api_key
from collegium.experts.clients.connection import MOST_BYTES
from collegium.experts.clients.engine import EngineExpert, EngineLink
from collegium.experts.clients.http import HttpExpert
from collegium.experts.clients.reply import ExpertClient
from collegium.experts.roster import adapter_folder
from collegium.experts.supervisor import Supervisor
from collegium.registry.expert import Expert

Reached = tuple[str | None, ...]
"""What of an expert its client is made from."""


class Clients(Protocol):
    """From a registry's expert to the client that reaches it."""

    def of(self, expert: Expert) -> ExpertClient:
        """The expert's client; ExpertUnavailable where it can't be made."""

    async def follow(self, experts: Sequence[Expert]) -> None:
        """Let go of the clients of experts that are gone."""

    async def aclose(self) -> None:
        """Close every client."""


class ClientsByKind:
    """Makes the client that an expert's kind needs."""

    def __init__(
        self,
        engines: Mapping[str, Supervisor],
        *,
        timeout_s: float,
        key_variables: Sequence[str] = USUAL,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._engines = engines
        self._timeout_s = timeout_s
        self._key_variables = key_variables
        self._most_bytes = most_bytes
        self._links: dict[str, EngineLink] = {}
        self._clients: dict[str, tuple[Reached, ExpertClient]] = {}
        self._retired: list[ExpertClient] = []

    def of(self, expert: Expert) -> ExpertClient:
        """The known client, or a new one where the expert has moved; presets have their base's."""
        known, reached = self._clients.get(expert.origin), _reached(expert)
        if known is not None and known[0] == reached:
            return known[1]
        client = self._make(expert)
        if known is not None:
            self._retired.append(known[1])  # it may still be answering
        self._clients[expert.origin] = (reached, client)
        return client

    async def follow(self, experts: Sequence[Expert]) -> None:
        """Let go of experts that are gone: their clients, and their adapters in engines."""
        names = {expert.origin for expert in experts}
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

    def _make(self, expert: Expert) -> ExpertClient:
        name, timeout_s = expert.origin, self._timeout_s
        if expert.kind in ("engine", "lora"):
            link = self._link(expert)
            return EngineExpert(name, link, expert.model, adapter_folder(expert))
        key = api_key(expert, self._key_variables)
        if expert.kind == "litellm":
            from collegium.experts.clients.litellm import LiteLLMExpert

            return LiteLLMExpert(
                name, expert.model, base_url=expert.base_url, api_key=key, timeout_s=timeout_s
            )
        url = expert.base_url or ""
        return HttpExpert(
            name, url, expert.model, api_key=key, timeout_s=timeout_s, most_bytes=self._most_bytes
        )

    def _link(self, expert: Expert) -> EngineLink:
        engine = engine_of(expert, self._engines)
        link = self._links.get(engine.name)
        if link is None or link.engine is not engine:
            link = self._links[engine.name] = EngineLink(engine, self._timeout_s)
        return link


def _reached(expert: Expert) -> Reached:
    return (
        expert.kind,
        expert.model,
        expert.engine,
        expert.base_url,
        expert.adapter,
        expert.api_key_env,
    )


def engine_of(expert: Expert, engines: Mapping[str, Supervisor]) -> Supervisor:
    """The engine that an expert runs on; ExpertUnavailable where this service does not run it."""
    engine = engines.get(expert.engine or "")
    if engine is None:
        message = f"its engine '{expert.engine}' is not run by this service"
        raise ExpertUnavailable(expert.name, message, retry_after_s=60)
    return engine
