"""The pool: sends each call when it is its turn at the place that answers."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    nullcontext,
)
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING
from weakref import WeakSet

from msgspec import structs

from collegium.errors import CollegiumError, ExpertError, ExpertTimeout, ExpertUnavailable
from collegium.experts.clients.api_keys import USUAL
from collegium.experts.clients.connection import MOST_BYTES
from collegium.experts.clients.factory import Clients, ClientsByKind, engine_of
from collegium.experts.clients.native import CountsTokens, Native
from collegium.experts.clients.reply import Call, ExpertClient, Reply, Waits
from collegium.experts.dispatch.dispatcher import Dispatcher, Spot
from collegium.experts.dispatch.terms import ANY_TIME, Terms
from collegium.experts.fitting import fitted
from collegium.experts.learned import Learned
from collegium.experts.presets import with_preset
from collegium.experts.supervisor import Status, Supervisor
from collegium.registry.expert import Expert

if TYPE_CHECKING:
    from collegium.experts.residency.live import Residents

log = logging.getLogger(__name__)
COUNT_TIMEOUT_S = 5.0


class Pool:
    """Sends calls in turn: a place (an engine or an endpoint) runs as many at once as its batch
    holds.
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
        engines_of: str | None = None,
    ) -> None:
        self.engines = engines
        self._engines_of = engines_of
        self.dispatcher = dispatcher or Dispatcher(patience_s=timeout_s)
        self.key_variables = key_variables
        """Patterns of the environment variables that may hold endpoints' keys."""
        self.learned = Learned()
        """Capabilities that refusals have shown to be missing."""
        self._clients = clients or ClientsByKind(
            engines, timeout_s=timeout_s, key_variables=key_variables, most_bytes=most_bytes
        )
        self._residents = residents
        self._timeout_s = timeout_s
        self._first_token_timeout_s = first_token_timeout_s or timeout_s
        self._remote_concurrency = remote_concurrency
        self._remote: dict[str, tuple[Expert, Spot]] = {}
        self._watched: WeakSet[Supervisor] = WeakSet()

    @asynccontextmanager
    async def ask(
        self, call: Call, terms: Terms = ANY_TIME, waits: Waits | None = None
    ) -> AsyncGenerator[Reply]:
        """Ask the call's expert when it is this call's turn; leaving early cancels it.

        The reply has begun: a stream has said something, or the whole answer has come. `waits` is
        filled in on the way, also where the call fails.
        """
        expert, waits = call.expert, waits or Waits()
        client, fit = self._clients.of(expert), fitted(with_preset(call))
        engine = self.engines.get(expert.engine or "")
        async with (
            nullcontext() if engine is None else engine.awaited(),
            self._loaded(expert, terms, waits),
            self.dispatcher.turn(expert, spot := self.spot(expert), terms, waits) as turn,
            _Begun(call, client.ask(fit.call), self._first_token_timeout_s) as reply,
        ):
            await self.dispatcher.began(spot, turn)
            reply.waits = waits
            if expert.preset is not None:  # its client is its base's
                reply.began = structs.replace(reply.began, expert=expert.name)
            if fit.adjusted:
                reply.began = structs.replace(reply.began, adjusted=fit.adjusted)
            yield reply

    def client(self, expert: Expert) -> ExpertClient:
        """The expert's client, to be asked past the queue: a refusal is not held against it."""
        return self._clients.of(expert)

    async def count_tokens(self, expert: Expert, native: Native) -> int | None:
        """Count a prompt's tokens with the expert's own tokenizer; None if it can't be asked."""
        client = self._clients.of(expert)
        if not isinstance(client, CountsTokens):
            return None
        try:
            async with asyncio.timeout(COUNT_TIMEOUT_S):
                return await client.count_tokens(native)
        except (CollegiumError, TimeoutError) as exc:
            why = exc.bare if isinstance(exc, CollegiumError) else "no answer in time"
            log.info("%s does not count tokens: %s", expert.name, why)
            return None

    async def forgive(self, expert: Expert) -> None:
        """End the rest of an expert that has just answered its probe."""
        await self.dispatcher.forgive(self.spot(expert))

    def unavailable(self, expert: Expert, caller: str = "") -> ExpertError | None:
        """Return why an expert can't answer a caller now; None if nothing is known against it.

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
        """Forecast the seconds until an expert's engine is loaded; None if engines don't take
        turns.

        Its second argument is within how many seconds the engine is wanted, None for whenever.
        """
        return None if self._residents is None else self._wait_s

    def spot(self, expert: Expert) -> Spot:
        """Return where an expert is asked; raise ExpertUnavailable if its engine is not ready.

        Each process of an engine has circuits of its own: a new one starts without blame.
        """
        if expert.engine is None:
            known = self._remote.get(expert.name)
            if known is None or known[0] is not expert:
                place = expert.base_url or expert.origin
                spot = Spot(place, self._remote_concurrency, expert.origin, shared_as=place)
                known = self._remote[expert.name] = (expert, spot)
            return known[1]
        engine = engine_of(expert, self.engines)
        engine.require_ready(expert.name)
        if engine not in self._watched:
            self._watched.add(engine)
            engine.watch(partial(self._resize, engine))
        circuit = f"{expert.origin} on {engine.name} {engine.incarnation}"
        if self._engines_of is None:
            return Spot(engine.name, engine.slots, circuit)
        ours = f"{engine.name} of {self._engines_of}"
        return Spot(engine.name, engine.slots, f"{circuit} of {self._engines_of}", shared_as=ours)

    def has_another(self, expert: Expert) -> bool:
        """Whether a call that failed before its answer began may go to another replica."""
        engine = self.engines.get(expert.engine or "")
        return engine is not None and engine.has_another()

    async def follow(self, experts: Sequence[Expert]) -> None:
        """Let go of experts that are gone."""
        self._remote.clear()
        await self._clients.follow(experts)

    async def aclose(self) -> None:
        """Close every client."""
        await self._clients.aclose()
        await self.dispatcher.aclose()

    async def _resize(self, engine: Supervisor, _: Status) -> None:
        """Let those that wait have the slots of a new replica."""
        self.dispatcher.resize(engine.name, engine.slots)

    def _wait_s(self, expert: Expert, within_s: float | None) -> float:
        if self._residents is None or not self._takes_turns(expert):
            return 0.0
        deadline = None if within_s is None else time.monotonic() + within_s
        return self._residents.wait_s(expert.engine or "", deadline)

    def _loaded(
        self, expert: Expert, terms: Terms, waits: Waits
    ) -> AbstractAsyncContextManager[None]:
        """Keep the expert's engine loaded, if engines take turns."""
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
                raise ExpertUnavailable(expert.name, "its engine was not loaded in time") from exc
            waits.loaded_s = time.monotonic() - came
            yield

    def _takes_turns(self, expert: Expert) -> bool:
        return self._residents is not None and expert.engine in self._residents


class _Begun:
    """A call whose reply has begun when it is entered; raises ExpertTimeout if a stream does
    not.
    """

    def __init__(
        self, call: Call, asked: AbstractAsyncContextManager[Reply], first_timeout_s: float
    ) -> None:
        self._expert = call.expert.name
        self._asked = asked
        self._timeout_s = first_timeout_s if call.stream else None

    async def __aenter__(self) -> Reply:
        by = None
        if self._timeout_s is not None:
            by = asyncio.get_running_loop().time() + self._timeout_s
        try:
            async with asyncio.timeout_at(by):
                reply = await self._asked.__aenter__()
            return await self._begun(reply, by)
        except TimeoutError as exc:
            raise ExpertTimeout(self._expert, "no first token in time") from exc

    async def _begun(self, reply: Reply, by: float | None) -> Reply:
        try:
            await reply.begin(self._expert, by)
        except BaseException as exc:
            if isinstance(exc, ExpertError):
                exc.worked = True
            await self._asked.__aexit__(*sys.exc_info())
            raise
        return reply

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None
    ) -> bool | None:
        return await self._asked.__aexit__(kind, exc, at)
