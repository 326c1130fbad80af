"""The pool: asks experts, each call when it is its turn at the place that answers."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    nullcontext,
)
from types import TracebackType
from typing import TYPE_CHECKING

from msgspec import structs

from collegium.errors import ExpertTimeout, ExpertUnavailable
from collegium.experts.clients.api_keys import USUAL
from collegium.experts.clients.connection import MOST_BYTES
from collegium.experts.clients.factory import Clients, ClientsByKind, engine_of
from collegium.experts.clients.reply import Call, Reply, Waits
from collegium.experts.dispatch.dispatcher import Dispatcher, Spot
from collegium.experts.dispatch.terms import ANY_TIME, Terms
from collegium.experts.presets import with_preset
from collegium.experts.supervisor import Supervisor
from collegium.registry.expert import Expert

if TYPE_CHECKING:
    from collegium.experts.residency.live import Residents


class Pool:
    """Each call waits for its turn: a place that answers (an engine, an endpoint) runs as many at
    once as its batch holds.
    """

    def __init__(
        self,
        engines: Mapping[str, Supervisor],
        *,
        timeout_s: float,
        first_token_timeout_s: float | None = None,
        remote_concurrency: int = 64,
        clients: Clients | None = None,
        dispatcher: Dispatcher | None = None,
        residents: Residents | None = None,
        key_variables: Sequence[str] = USUAL,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self.engines = engines
        self.dispatcher = dispatcher or Dispatcher(patience_s=timeout_s)
        self.key_variables = key_variables
        """Patterns of the environment variables that may hold endpoints' keys."""
        self._clients = clients or ClientsByKind(
            engines, timeout_s=timeout_s, key_variables=key_variables, most_bytes=most_bytes
        )
        self._residents = residents
        self._timeout_s = timeout_s
        self._first_token_timeout_s = first_token_timeout_s or timeout_s
        self._remote_concurrency = remote_concurrency
        self._remote: dict[str, tuple[Expert, Spot]] = {}

    @asynccontextmanager
    async def ask(
        self, call: Call, terms: Terms = ANY_TIME, waits: Waits | None = None
    ) -> AsyncGenerator[Reply]:
        """Ask the call's expert when it is this call's turn; leaving early cancels it.

        The reply has begun: the first chunk of a stream, or the whole answer, has come. `waits` is
        filled in on the way, also where the call fails.
        """
        expert, waits = call.expert, waits or Waits()
        client = self._clients.of(expert)
        async with (
            self._loaded(expert, terms, waits),
            self.dispatcher.turn(expert, spot := self.spot(expert), terms, waits) as turn,
            _Begun(call, client.ask(with_preset(call)), self._first_token_timeout_s) as reply,
        ):
            await self.dispatcher.began(spot, turn)
            reply.waits = waits
            if expert.preset is not None:  # its client is its base's
                reply.began = structs.replace(reply.began, expert=expert.name)
            yield reply

    def unavailable(self, expert: Expert, caller: str = "") -> ExpertUnavailable | None:
        """Say why an expert can't answer a caller now; None when nothing is known against it.

        Where engines take turns, one that is not loaded will be when it is asked.
        """
        if expert.engine is None:
            return self.dispatcher.refusal(expert, self.spot(expert), caller)
        if self._residents is not None and self._takes_turns(expert):
            name = expert.engine
            if self.engines[name].status.state != "ready":
                return self._residents.refusal(name)
        try:
            return self.dispatcher.refusal(expert, self.spot(expert), caller)
        except ExpertUnavailable as exc:
            return exc

    @property
    def waits(self) -> Callable[[Expert, float | None], float] | None:
        """Forecasts the seconds until an expert's engine is loaded; None if none takes turns.

        Its second argument is within how many seconds the engine is wanted, None for whenever.
        """
        return None if self._residents is None else self._wait_s

    def spot(self, expert: Expert) -> Spot:
        """Where an expert is asked; ExpertUnavailable when its engine is not ready.

        Each process of an engine has circuits of its own: a new one starts without blame.
        """
        if expert.engine is None:
            known = self._remote.get(expert.name)
            if known is None or known[0] is not expert:
                place = expert.base_url or expert.origin
                spot = Spot(place, self._remote_concurrency, expert.origin, shared=True)
                known = self._remote[expert.name] = (expert, spot)
            return known[1]
        engine = engine_of(expert, self.engines)
        engine.require_ready(expert.name)
        circuit = f"{expert.origin} on {engine.name} {engine.incarnation}"
        return Spot(engine.name, engine.spec.max_sequences, circuit, shared=False)

    async def follow(self, experts: Sequence[Expert]) -> None:
        """Let go of experts that are gone."""
        self._remote.clear()
        await self._clients.follow(experts)

    async def aclose(self) -> None:
        """Close every client."""
        await self._clients.aclose()
        await self.dispatcher.aclose()

    def _wait_s(self, expert: Expert, within_s: float | None) -> float:
        if self._residents is None or not self._takes_turns(expert):
            return 0.0
        deadline = None if within_s is None else time.monotonic() + within_s
        return self._residents.wait_s(expert.engine or "", deadline)

    def _loaded(
        self, expert: Expert, terms: Terms, waits: Waits
    ) -> AbstractAsyncContextManager[None]:
        """Have the expert's engine loaded meanwhile, where engines take turns."""
        if self._residents is None or not self._takes_turns(expert):
            return nullcontext()
        return self._held(self._residents, expert, terms, waits)

    @asynccontextmanager
    async def _held(
        self, residents: Residents, expert: Expert, terms: Terms, waits: Waits
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
            waits.loaded_s = time.monotonic() - came
            yield

    def _takes_turns(self, expert: Expert) -> bool:
        return self._residents is not None and expert.engine in self._residents


class _Begun:
    """A call whose reply has begun when it is entered; ExpertTimeout where a stream does not."""

    def __init__(
        self, call: Call, asked: AbstractAsyncContextManager[Reply], first_timeout_s: float
    ) -> None:
        self._expert = call.expert.name
        self._asked = asked
        self._timeout_s = first_timeout_s if call.stream else None

    async def __aenter__(self) -> Reply:
        if self._timeout_s is None:
            return await self._begun()
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._begun()
        except TimeoutError as exc:
            raise ExpertTimeout(self._expert, "no first token in time") from exc

    async def _begun(self) -> Reply:
        reply = await self._asked.__aenter__()
        try:
            await reply.begin(self._expert)
        except BaseException:
            await self._asked.__aexit__(*sys.exc_info())
            raise
        return reply

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None
    ) -> bool | None:
        return await self._asked.__aexit__(kind, exc, at)
