"""Experts on a supervised vLLM engine: the base model, or a LoRA adapter on it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from weakref import WeakSet

from collegium.errors import ExpertUnavailable
from collegium.experts.clients.connection import Connection, ExpertErrors
from collegium.experts.clients.events import Json
from collegium.experts.clients.http import HttpExpert
from collegium.experts.clients.native import Native
from collegium.experts.clients.reply import Call, Reply
from collegium.experts.supervisor import Status, Supervisor

LOAD_TIMEOUT_S = 60.0


class EngineConnection:
    """One running engine process: its connection pool and its loaded adapters."""

    def __init__(self, engine: Supervisor, base_url: str, timeout_s: float) -> None:
        self.base_url = base_url
        self.incarnation = engine.incarnation
        self._secret = engine.spec.secret
        self._timeout_s = timeout_s
        self._experts: dict[str, HttpExpert] = {}
        self._loaded: set[str] = set()
        self._loading = asyncio.Lock()
        self._adapters = Connection(
            f"{base_url}/v1", api_key=self._secret, timeout_s=LOAD_TIMEOUT_S, trust_env=False
        )

    def expert(self, name: str, model: str) -> HttpExpert:
        """The HTTP client for a model that this process serves."""
        if model not in self._experts:
            self._experts[model] = HttpExpert(
                name,
                f"{self.base_url}/v1",
                model,
                api_key=self._secret,
                timeout_s=self._timeout_s,
                trust_env=False,
            )
        return self._experts[model]

    async def load_adapter(self, name: str, folder: Path) -> str:
        """Load a LoRA adapter unless it is loaded; return the engine's name for it."""
        served = served_name(name, folder)
        async with self._loading:
            if served not in self._loaded:
                await self._post_adapter(name, served, folder)
                self._loaded.add(served)
        return served

    async def unload_adapter(self, served: str) -> None:
        """Let the engine forget an adapter whose expert is gone."""
        async with self._loading:
            if served not in self._loaded:
                return
            self._loaded.discard(served)
            with ExpertErrors(served):
                await self._post("unload_lora_adapter", {"lora_name": served})

    async def _post_adapter(self, name: str, served: str, folder: Path) -> None:
        body = {"lora_name": served, "lora_path": str(folder)}
        with ExpertErrors(name):
            done, text = await self._post("load_lora_adapter", body)
        if not done and "already been loaded" not in text:
            words = "the engine can't load its adapter"
            raise ExpertUnavailable(name, words, detail=text[:300])

    async def _post(self, path: str, body: Json) -> tuple[bool, str]:
        """Whether it succeeded, and what was answered."""
        with closing(await self._adapters.post(path, body)) as response:
            return response.is_success, (await response.read()).decode(errors="replace")

    async def aclose(self) -> None:
        """Close every connection."""
        await self._adapters.aclose()
        for expert in self._experts.values():
            await expert.aclose()


class EngineLink:
    """The way to a supervised engine and its replicas, across their restarts."""

    def __init__(self, engine: Supervisor, timeout_s: float) -> None:
        self.engine = engine
        self._timeout_s = timeout_s
        self._connections: dict[Supervisor, EngineConnection] = {}
        self._former: list[EngineConnection] = []
        self._watched: WeakSet[Supervisor] = WeakSet()

    def connection(self, expert: str, seat: Supervisor) -> EngineConnection:
        """The connection to the process that runs now; raises ExpertUnavailable when none does."""
        base_url = seat.require_ready(expert)
        known = self._connections.get(seat)
        if known is not None and known.incarnation == seat.incarnation:
            return known
        if known is not None:
            self._former.append(known)
        if seat not in self._watched:
            self._watched.add(seat)
            seat.watch(partial(self._follow, seat))
        self._connections[seat] = EngineConnection(seat, base_url, self._timeout_s)
        return self._connections[seat]

    async def unload_adapter(self, served: str) -> None:
        """Let all processes forget an adapter whose expert is gone."""
        for seat, connection in self._connections.items():
            if seat.status.state == "ready" and connection.incarnation == seat.incarnation:
                await connection.unload_adapter(served)

    async def _follow(self, seat: Supervisor, status: Status) -> None:
        """Break off what a lost machine was answering: nobody there closes its connections."""
        connection = self._connections.get(seat)
        if connection is not None and status.state in ("failed", "stopped"):
            await connection.aclose()
        if connection is not None and status.state == "stopped":
            del self._connections[seat]

    async def aclose(self) -> None:
        """Close the connections to the present processes and to earlier ones."""
        for connection in [*self._former, *self._connections.values()]:
            await connection.aclose()


class EngineExpert:
    """A model on a supervised engine; its adapter, if any, is loaded first."""

    def __init__(self, name: str, link: EngineLink, model: str, adapter: Path | None) -> None:
        self.name = name
        self._link = link
        self._model = model
        self._adapter = adapter

    @property
    def engine(self) -> Supervisor:
        """The engine that it asks."""
        return self._link.engine

    @asynccontextmanager
    async def ask(self, call: Call) -> AsyncGenerator[Reply]:
        """Ask a process that runs now; leaving early makes it abort the generation."""
        seat = self.engine.seat(self.name, call.body)
        with self.engine.asked(seat):
            async with (await self._http(seat)).ask(call) as reply:
                yield reply

    async def count_tokens(self, native: Native) -> int:
        """Count a prompt's tokens with the engine's tokenizer; raise ExpertError if that fails."""
        return await (await self._http(self.engine.seat(self.name))).count_tokens(native)

    async def retire(self) -> None:
        """Unload the adapter wherever it is loaded."""
        if self._adapter is not None:
            await self._link.unload_adapter(served_name(self.name, self._adapter))

    async def aclose(self) -> None:
        """The link owns the connections."""

    async def _http(self, seat: Supervisor) -> HttpExpert:
        connection = self._link.connection(self.name, seat)
        if self._adapter is None:
            return connection.expert(self.name, self._model)
        served = await connection.load_adapter(self.name, self._adapter)
        return connection.expert(self.name, served)


def served_name(name: str, folder: Path) -> str:
    """A name that changes when the adapter's weights do, so that an old copy is never asked."""
    weights = folder / "adapter_model.safetensors"
    stamp = f"{folder}:{weights.stat().st_mtime_ns if weights.exists() else 0}"
    return f"{name}-{hashlib.sha256(stamp.encode()).hexdigest()[:8]}"
