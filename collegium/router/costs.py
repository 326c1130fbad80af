"""Forecast what an answer takes: tokens, money, time and energy."""

from __future__ import annotations

from dataclasses import dataclass

from collegium.registry.expert import Expert

CHARACTERS_PER_TOKEN = 4  # English text under byte-pair tokenizers, roughly
DEFAULT_TOKENS = 150
DEFAULT_MS_PER_TOKEN = 30.0
MEMORY = 0.2  # weight of the newest answer in the running mean of an expert's speed


@dataclass(frozen=True)
class Cost:
    """What one answer takes, forecast or measured."""

    cost_usd: float
    latency_ms: float
    energy_j: float | None


def price_usd(expert: Expert, prompt_tokens: int, completion_tokens: int) -> float:
    """Dollars for so many tokens at the expert's prices."""
    dollars = prompt_tokens * expert.input_price + completion_tokens * expert.output_price
    return dollars / 1_000_000


def prompt_tokens_of(text: str) -> int:
    """A guess at a prompt's tokens, for forecasts only."""
    return len(text) // CHARACTERS_PER_TOKEN + 1


class Speeds:
    """Milliseconds a token by expert, learnt from the answers that pass by."""

    def __init__(self, device_watts: float) -> None:
        self._watts = device_watts
        self._ms_per_token: dict[str, float] = {}

    def ms_per_token(self, expert: str, otherwise: float) -> float:
        """The running mean, or `otherwise` before the first answer."""
        return self._ms_per_token.get(expert, otherwise)

    def learn(self, expert: str, latency_ms: float, tokens: int) -> None:
        """Take one finished answer into account."""
        if tokens > 0:
            now = latency_ms / tokens
            before = self._ms_per_token.get(expert, now)
            self._ms_per_token[expert] = (1 - MEMORY) * before + MEMORY * now

    def energy_j(self, expert: Expert, latency_ms: float) -> float | None:
        """Power times time for experts that run here (a stated model, not a measurement)."""
        return self._watts * latency_ms / 1000 if expert.engine is not None else None
