"""Forecast an answer's tokens, cost, time and energy."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence

from collegium.experts.clients.usage import Tokens as TokenCounts
from collegium.experts.dispatch.in_flight import InFlight
from collegium.experts.presets import tier_of
from collegium.experts.pricing import (
    DIGITS,
    plainly_priced,
    price_of,
    tier_is_priced,
    total_usd,
)
from collegium.registry.expert import Expert
from collegium.router.latency import LatencyModel, Timing, fit_latency

__all__ = ["LatencyModel", "Speeds", "dearest_usd", "most_usd", "price_usd", "total_usd"]
DEFAULT_TOKENS = 150
DEFAULT_MS_PER_TOKEN = 30.0
LEEWAY = 1.5
"""The factor by which the worst case of a request with `max_tokens` may exceed its `max_cost_usd`.
"""
MEMORY = 0.2  # weight of the newest answer in the running mean of an expert's speed
FEWEST_TIMINGS = 8
MOST_TIMINGS = 256  # the newest count, for an expert's speed changes


def price_usd(
    expert: Expert,
    prompt_tokens: int,
    completion_tokens: int,
    *,
    cached: int = 0,
    tier: str | None = None,
) -> float | None:
    """Return the dollars for these tokens at the expert's prices; None if a relevant price is
    unknown.

    `cached` is how many tokens of the prompt the expert is expected to have in its cache, `tier`
    the service tier that the request asks for; if it asks for none, the one of the expert's preset
    applies.
    """
    if expert.prices:
        tier = tier_of(expert, tier)
        if cached or tier or not plainly_priced(expert, prompt_tokens):
            read = min(cached, prompt_tokens)
            return price_of(expert, TokenCounts(prompt_tokens, completion_tokens, read), tier)
    read_price, written_price = expert.input_price, expert.output_price
    if (prompt_tokens and read_price is None) or (completion_tokens and written_price is None):
        return None
    total = prompt_tokens * (read_price or 0.0) + completion_tokens * (written_price or 0.0)
    return round(total / 1_000_000, DIGITS)


def most_usd(
    expert: Expert,
    most_prompt: int,
    most_tokens: int,
    max_tokens: int | None,
    tier: str | None = None,
) -> float | None:
    """Return a bound for nearly every answer; with `max_tokens`, one for all within `LEEWAY`."""
    if max_tokens is not None and max_tokens <= most_tokens:  # cheaper in any case
        max_tokens = None
    most = dearest_usd(expert, most_prompt, most_tokens, tier)
    worst = None if max_tokens is None else dearest_usd(expert, most_prompt, max_tokens, tier)
    return most if worst is None or most is None else max(most, worst / LEEWAY)


def dearest_usd(expert: Expert, prompt: int, written: int, tier: str | None = None) -> float | None:
    """Return the dollars if all output may be reasoning and reasoning costs more; None if the price
    of what is asked for is unknown.
    """
    tier = tier_of(expert, tier)
    if tier and not tier_is_priced(expert, tier):
        return None
    usd = price_usd(expert, prompt, written, tier=tier)
    if usd is None or "reasoning" not in expert.prices:
        return usd
    thought = price_of(expert, TokenCounts(prompt, written, reasoning=written), tier)
    return usd if thought is None else max(usd, thought)


class Speeds:
    """Each expert's speed, learnt from observed answers, and the load of its engine.

    From `FEWEST_TIMINGS` answers on, an expert has a fitted `LatencyModel`; before that its time is
    its tokens times the running mean of milliseconds a token.
    """

    def __init__(self, device_watts: float, in_flight: InFlight | None = None) -> None:
        self.in_flight = in_flight or InFlight()
        self._watts = device_watts
        self._ms_per_token: dict[str, float] = {}
        self._timings: dict[str, deque[Timing]] = {}
        self._models: dict[str, LatencyModel] = {}
        self._news: Counter[str] = Counter()

    def load(self, expert: Expert) -> int:
        """Return the number of answers in progress at the expert's place."""
        return self.in_flight.load(expert)

    def latency_ms(
        self,
        expert: Expert,
        prompt_tokens: int,
        output_tokens: int,
        usual_ms_per_token: float,
        *,
        idle: bool = False,
    ) -> float:
        """The duration of an answer that begins now, under the present load or, if `idle`, none."""
        model = self._models.get(expert.name)
        if model is None:
            return output_tokens * self.ms_per_token(expert.name, usual_ms_per_token)
        load = 0 if idle else self.load(expert)
        return model.latency_ms(prompt_tokens, output_tokens, load)

    def model(self, expert: str) -> LatencyModel | None:
        """Return the fitted model; None before there are enough answers."""
        return self._models.get(expert)

    def ms_per_token(self, expert: str, otherwise: float) -> float:
        """The running mean, or `otherwise` before the first answer."""
        return self._ms_per_token.get(expert, otherwise)

    def learn(
        self,
        expert: str,
        latency_ms: float,
        tokens: int,
        *,
        prompt_tokens: int = 0,
        ttft_ms: float | None = None,
        load: float = 0.0,
    ) -> None:
        """Take one finished answer into account."""
        if tokens > 0:
            now = latency_ms / tokens
            before = self._ms_per_token.get(expert, now)
            self._ms_per_token[expert] = (1 - MEMORY) * before + MEMORY * now
            seen = self._timings.setdefault(expert, deque(maxlen=MOST_TIMINGS))
            seen.append(Timing(prompt_tokens, tokens, latency_ms, ttft_ms, load))
            self._news[expert] += 1
            self._refit(expert)

    def recall(self, timings: Mapping[str, Sequence[Timing]]) -> None:
        """Start from answers of the past, oldest first, by expert's name."""
        for expert, found in timings.items():
            for t in found:
                self.learn(
                    expert,
                    t.latency_ms,
                    round(t.output_tokens),
                    prompt_tokens=round(t.prompt_tokens),
                    ttft_ms=t.ttft_ms,
                    load=t.load,
                )

    def _refit(self, expert: str) -> None:
        """After the first few answers, then whenever a quarter is new: a fit takes about 1 ms."""
        if self._news[expert] >= max(FEWEST_TIMINGS, len(self._timings[expert]) // 4):
            self._models[expert] = fit_latency(self._timings[expert])
            self._news[expert] = 0

    def energy_j(self, expert: Expert, latency_ms: float) -> float | None:
        """Power times time for experts that run here (a stated model, not a measurement)."""
        return self._watts * latency_ms / 1000 if expert.engine is not None else None
