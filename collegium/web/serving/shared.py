"""What all processes that answer for a service share, wherever it is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from collegium.registry.budgets.counters import Counters, MemoryCounters
from collegium.registry.leases import Leases
from collegium.registry.state import MemoryState, SharedState, SturdyState
from collegium.registry.storage.database import Database
from collegium.settings import Settings

if TYPE_CHECKING:
    from collegium.registry.answers import AnswerStore


@dataclass(frozen=True)
class Shared:
    """Small state, what later ratings need, counters of budgets, and the cached answers."""

    state: SharedState
    trials: SharedState
    counters: Counters
    answers: AnswerStore | None
    """None where the response cache is off."""
    several: bool
    """Whether other processes have the same, and so the slots of endpoints have to be shared."""
    engines_of: str | None = None
    """Names the service whose workers share the slots of its engines; None for a single process.
    Services that share a Redis have engines of their own."""


def open_shared(settings: Settings, database: Database) -> Shared:
    """In Redis where a URL names one, else in this process."""
    return Shared(
        state=_state(settings),
        trials=_state(settings),
        counters=_counters(settings, database),
        answers=None if settings.response_cache == "off" else _answers(settings),
        several=settings.redis_url is not None,
    )


def _state(settings: Settings) -> SharedState:
    if settings.redis_url is None:
        return MemoryState()
    from collegium.registry.redis_state import RedisState  # takes 0.2 s to import

    return SturdyState(RedisState(settings.redis_url.get_secret_value()))


def _answers(settings: Settings) -> AnswerStore:
    ttl_s, most = settings.response_cache_ttl_s, round(settings.response_cache_max_mib * 2**20)
    if settings.redis_url is None:
        from collegium.registry.answers import MemoryAnswers

        return MemoryAnswers(ttl_s=ttl_s, most_bytes=most)
    from collegium.registry.answers_redis import RedisAnswers

    return RedisAnswers(settings.redis_url.get_secret_value(), ttl_s=ttl_s, most_bytes=most)


def _counters(settings: Settings, database: Database) -> Counters:
    if settings.redis_url is None and database.is_sqlite:
        return MemoryCounters()
    if settings.redis_url is None:
        from collegium.registry.sole_counters import SoleCounters  # where there may be replicas

        return SoleCounters(Leases(database))
    from collegium.registry.budgets.redis import RedisCounters  # where replicas share them

    return RedisCounters(settings.redis_url.get_secret_value())
