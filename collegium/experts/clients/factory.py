"""Creates and caches the clients of all experts; a changed expert gets a new client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from collegium.errors import BadRequest, ExpertUnavailable, SetupError
from collegium.experts.clients.api_keys import USUAL, api_key
from collegium.experts.clients.connection import MOST_BYTES
from collegium.experts.clients.engine import EngineExpert, EngineLink
from collegium.experts.clients.kinds import MakeClient, Reach
from collegium.experts.clients.reply import ExpertClient
from collegium.experts.supervisor import Supervisor
from collegium.extensions import extensions
from collegium.registry.expert import Expert

Reached = tuple[str | None, ...]
"""The fields of an expert on which its client depends."""


class Clients(Protocol):
    """Maps registered experts to clients."""

    def of(self, expert: Expert) -> ExpertClient:
        """Return the expert's client; raise ExpertUnavailable if it can't be created."""

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
        self._former_links: list[EngineLink] = []
        self._clients: dict[str, tuple[Reached, ExpertClient]] = {}
        self._retired: list[ExpertClient] = []

    def of(self, expert: Expert) -> ExpertClient:
        """The cached client, or a new one if the expert has changed; presets share their base's."""
        known, reached = self._clients.get(expert.origin), _reached(expert)
        if known is not None and known[0] == reached and self._is_current(expert, known[1]):
            return known[1]
        client = self._make(expert)
        if known is not None:
            self._retired.append(known[1])  # it may still be answering
        self._clients[expert.origin] = (reached, client)
        return client

    def _is_current(self, expert: Expert, client: ExpertClient) -> bool:
        """Whether its engine is still the one that runs: one with other options is another."""
        if not isinstance(client, EngineExpert):
            return True
        return client.engine is self._engines.get(expert.engine or "", client.engine)

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
        for link in [*self._former_links, *self._links.values()]:
            await link.aclose()

    def _make(self, expert: Expert) -> ExpertClient:
        """Create a client of the expert's kind; raise ExpertUnavailable if that kind is not
        installed.
        """
        reach = Reach(self._key, self._link, self._timeout_s, self._most_bytes)
        try:
            make: MakeClient = extensions().load("expert", expert.kind)
        except (BadRequest, SetupError) as exc:
            raise ExpertUnavailable(expert.name, str(exc), 60, detail=exc.detail) from exc
        if extensions().is_builtin("expert", expert.kind):
            return make(expert, reach)
        from collegium.experts.clients.guarded import guarded

        return guarded(make, expert, reach)

    def _key(self, expert: Expert) -> str | None:
        return api_key(expert, self._key_variables)

    def _link(self, expert: Expert) -> EngineLink:
        engine = engine_of(expert, self._engines)
        link = self._links.get(engine.name)
        if link is None or link.engine is not engine:
            if link is not None:
                self._former_links.append(link)  # it may still be answering
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
    """Return the engine of an expert; raise ExpertUnavailable if this service doesn't run it."""
    engine = engines.get(expert.engine or "")
    if engine is None:
        message = f"its engine '{expert.engine}' is not run by this service"
        raise ExpertUnavailable(expert.name, message, retry_after_s=60)
    return engine
