"""Every call of a panel, counted: who was asked as what, what it took, what became of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from collegium.errors import BudgetSpent, CollegiumError
from collegium.experts.aggregation.base import Call, Json
from collegium.experts.dispatch.terms import ANY_TIME, Terms
from collegium.router.conversation import text_of
from collegium.router.costs import price_usd, prompt_tokens_of
from collegium.web.service import Service

CallStatus = Literal["ok", "error", "cancelled"]


@dataclass
class Entry:
    """One call; numbers of a call that was cut short are counted here and so `estimated`."""

    seat: int
    role: str
    expert: str
    status: CallStatus = "cancelled"
    error: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = False
    cost_usd: float = 0.0
    latency_ms: float = 0.0
    ttft_ms: float | None = None
    energy_j: float | None = None


class Ledger:
    """The seam between modes and the pool. A call that the budget does not allow is not made."""

    def __init__(
        self, service: Service, max_cost_usd: float | None, terms: Terms = ANY_TIME
    ) -> None:
        self.entries: list[Entry] = []
        self._service = service
        self._max_cost_usd = max_cost_usd
        # What the panel is expected to take says nothing of one call; a panel needs no hedge.
        self._terms = replace(terms, expected_s=None, hedge=False)

    async def ask(self, call: Call) -> AsyncGenerator[Json]:
        """Ask the pool, count what comes."""
        body = {**call.body, "stream_options": {"include_usage": True}}
        self._require_budget(call)
        entry = Entry(call.seat, call.role, call.expert.name)
        self.entries.append(entry)
        started, pieces, load = time.perf_counter(), 0, 0
        loaded_s: list[float] = []
        terms = replace(self._terms, on_loaded=loaded_s.append)
        try:
            with self._service.speeds.answering(call.expert) as load:
                async with aclosing(self._service.pool.stream(call.expert, body, terms)) as chunks:  # type: ignore[type-var]
                    async for chunk in chunks:
                        pieces += bool(chunk.get("choices"))
                        if pieces and entry.ttft_ms is None:
                            entry.ttft_ms = 1000 * (time.perf_counter() - started)
                        _count(entry, chunk.get("usage"))
                        yield chunk
            entry.status = "ok"
        except CollegiumError as exc:
            entry.status, entry.error = "error", str(exc)
            raise
        except (asyncio.CancelledError, GeneratorExit):
            raise  # the status is that already
        finally:
            entry.latency_ms = 1000 * (time.perf_counter() - started)
            self._close(entry, call, 1000 * sum(loaded_s), pieces, load)

    @property
    def usage(self) -> Json:
        """Tokens of all calls, in OpenAI's shape."""
        prompt = sum(entry.prompt_tokens for entry in self.entries)
        completion = sum(entry.completion_tokens for entry in self.entries)
        total = prompt + completion
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}

    @property
    def cost_usd(self) -> float:
        """Dollars of all calls."""
        return sum(entry.cost_usd for entry in self.entries)

    @property
    def energy_j(self) -> float | None:
        """Joules of all calls; None where one of them is unknown."""
        known = [entry.energy_j for entry in self.entries if entry.energy_j is not None]
        return sum(known) if len(known) == len(self.entries) else None

    def rows(self) -> list[Json]:
        """All calls, by seat."""
        return [asdict(entry) for entry in sorted(self.entries, key=lambda e: e.seat)]

    def _require_budget(self, call: Call) -> None:
        """What was spent and this prompt's price have to stay within the limit."""
        if self._max_cost_usd is None:
            return
        next_cost = price_usd(call.expert, _prompt_tokens(call), 0)
        if self.cost_usd + next_cost > self._max_cost_usd:
            raise BudgetSpent(
                f"max_cost_usd {self._max_cost_usd:g} leaves no further call to "
                f"'{call.expert.name}': {self.cost_usd:.6f} are spent",
                "routing.max_cost_usd",
            )

    def _close(self, entry: Entry, call: Call, loaded_ms: float, pieces: int, load: int) -> None:
        """Account for a call; so much of its time its engine was not loaded."""
        own_ms = entry.latency_ms - loaded_ms
        if not entry.prompt_tokens and (entry.status == "cancelled" or pieces):
            entry.estimated = True  # the usage comes last, and nobody waited for it
            entry.prompt_tokens, entry.completion_tokens = _prompt_tokens(call), pieces
        used = entry.prompt_tokens, entry.completion_tokens
        entry.cost_usd = price_usd(call.expert, *used)
        entry.energy_j = self._service.speeds.energy_j(call.expert, own_ms)
        self._service.metrics.called(call.expert.name, used, entry.cost_usd)
        if entry.status == "ok" and not entry.estimated:
            self._service.speeds.learn(
                call.expert.name,
                own_ms,
                used[1],
                prompt_tokens=used[0],
                ttft_ms=None if entry.ttft_ms is None else entry.ttft_ms - loaded_ms,
                load=load,
            )


def _count(entry: Entry, usage: Any) -> None:
    if isinstance(usage, Mapping):
        entry.prompt_tokens = int(usage.get("prompt_tokens") or 0)
        entry.completion_tokens = int(usage.get("completion_tokens") or 0)


def _prompt_tokens(call: Call) -> int:
    return sum(prompt_tokens_of(text_of(message)) for message in call.body["messages"])
