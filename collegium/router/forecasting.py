"""Forecast every expert on one query, from marks and from what is known of newcomers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from collegium.experts.clients.counting import estimated_tokens
from collegium.registry.expert import Expert
from collegium.registry.presets import digest_of
from collegium.router.artifact import FittedRouter
from collegium.router.costs import (
    DEFAULT_MS_PER_TOKEN,
    Speeds,
    most_usd,
    price_usd,
)
from collegium.router.decision import Forecast, Query
from collegium.router.prompt_cache import saved_usd, worth_usd
from collegium.router.tokens import Tokens

Array = NDArray[np.float64]
Waits = Callable[[Expert, float | None], float]
"""Seconds until an expert's engine is loaded; within how many it is wanted, None for whenever."""
ENOUGH_EVIDENCE = 0.5
"""A skill profile is not used for a query farther from all marked ones than this."""
ENOUGH_MEASURED = 0.5
"""A skill profile is not used if less than this of what the query needs was measured."""


def fingerprint(expert: Expert) -> str:
    """Return the identity of an expert's measurements: its weights and its preset."""
    weights = f"{expert.kind}:{expert.adapter or expert.model}"
    there = f"{weights}@{expert.base_url}" if expert.base_url else weights
    return there if expert.preset is None else f"{there}#{digest_of(expert.preset)}"


def named(model: str) -> str:
    """Return the identity of a recorded set's model, matched by the expert's name."""
    return f"named:{model}"


def known_as(expert: Expert, columns: Mapping[str, int]) -> str:
    """Return the identity under which a router knows an expert: its weights, or a recorded model.

    That is the one of the expert's name, else the one that it serves, as it is: without a preset.
    """
    weights, own = fingerprint(expert), named(expert.name)
    if expert.preset is not None:
        return weights if weights in columns else own
    return next((name for name in (weights, own) if name in columns), named(expert.model))


class ByFingerprint(Mapping[str, float]):
    """One number per expert of the fitted router, accessible by name or as an array."""

    def __init__(self, columns: Mapping[str, int], array: Array) -> None:
        self.columns = columns
        self.array = array

    def __getitem__(self, name: str) -> float:
        return float(self.array[self.columns[name]])

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)


UNSKILLED = "requests"
"""The single skill of marks that were given without tasks: it says nothing of a query."""


@dataclass(frozen=True)
class Reading:
    """The forecasts for a query: its skills, each known expert's P(correct), and the evidence.

    `evidence` in [0, 1] is how much the marks say of such a query.
    """

    skills: dict[str, float]
    evidence: float
    quality: ByFingerprint
    deviation: ByFingerprint
    tokens: ByFingerprint
    ms_per_token: ByFingerprint

    @property
    def ood_score(self) -> float:
        """How unlike all marked queries it is, 0 to 1."""
        return 1.0 - self.evidence


@dataclass(frozen=True)
class Asked:
    """The sender of a query: an application's key, and the embedding (d,) of its prompt if it is
    new.
    """

    application: str | None = None
    context: Array | None = None


ANONYMOUS = Asked()


class Forecaster:
    """The fitted router applied to one query."""

    def __init__(self, fitted: FittedRouter, speeds: Speeds, tokens: Tokens | None = None) -> None:
        self.fitted = fitted
        self._speeds = speeds
        self._tokens = tokens or Tokens()
        self._columns = {name: column for column, name in enumerate(fitted.fingerprints)}
        self._known: dict[str, tuple[Expert, int | None]] = {}
        self._skills = [str(name) for name in fitted.skills.classes_]

    def read(self, embedding: Array, asked: Asked = ANONYMOUS) -> Reading:
        """Read one embedding, shape (d,)."""
        return self.read_all(np.asarray(embedding, dtype=np.float64)[None, :], [asked])[0]

    def read_all(self, embeddings: Array, asked: Sequence[Asked]) -> list[Reading]:
        """Read embeddings, shape (n, d), together; `asked` (n) are their senders."""
        fitted, columns = self.fitted, self._columns
        skills = fitted.skills.probabilities(embeddings)
        names = [each.application for each in asked]
        belief = fitted.beliefs.forecast(embeddings, names, [each.context for each in asked])
        tokens = skills @ fitted.tokens.T
        for row, name in enumerate(names):
            if (number := fitted.beliefs.number(name)) is not None:
                tokens[row] = fitted.application_tokens[number]
        ms_per_token = skills @ fitted.milliseconds_per_token.T
        return [
            Reading(
                dict(zip(self._skills, row, strict=True)),
                evidence,
                ByFingerprint(columns, belief.quality[i]),
                ByFingerprint(columns, belief.deviation[i]),
                ByFingerprint(columns, tokens[i]),
                ByFingerprint(columns, ms_per_token[i]),
            )
            for i, (row, evidence) in enumerate(
                zip(skills.tolist(), belief.evidence.tolist(), strict=True)
            )
        ]

    def forecast(
        self,
        experts: Sequence[Expert],
        query: Query,
        reading: Reading,
        waits: Waits | None = None,
        *,
        idle: bool = False,
    ) -> tuple[Forecast, ...]:
        """Return one forecast per expert; quality is None without measurements.

        Time and energy are those under the present load, or, `idle`, under none; to the time
        comes what `waits` says of the expert's engine.
        """
        prompt_tokens = query.prompt_tokens or estimated_tokens(query.text)
        found = tuple(self._forecast(e, query, prompt_tokens, reading, idle) for e in experts)
        if waits is None:
            return found
        return tuple(_waiting(f, e, query, waits) for f, e in zip(found, experts, strict=True))

    def _forecast(
        self, expert: Expert, query: Query, prompt_tokens: int, reading: Reading, idle: bool
    ) -> Forecast:
        column = self.column(expert)
        tabulated, usual = None, DEFAULT_MS_PER_TOKEN
        if column is not None:
            usual = float(reading.ms_per_token.array[column])
            tabulated = float(reading.tokens.array[column])
        tokens, most = self._tokens.within(expert, query, prompt_tokens, tabulated)
        prompt, most_prompt = self._tokens.prompt(expert, prompt_tokens)
        each = self._tokens.allowed(expert, query)
        allowed = None if each is None else each * query.choices
        latency_ms = self._speeds.latency_ms(expert, prompt_tokens, tokens, usual, idle=idle)
        cached = query.history.cached_tokens if expert.name == query.session_expert else 0
        return Forecast(
            expert.name,
            expected_quality(expert, reading, column),
            _less(
                price_usd(expert, prompt, tokens, tier=query.service_tier),
                saved_usd(expert, cached),
            ),
            latency_ms,
            self._speeds.energy_j(expert, latency_ms),
            tokens,
            most_usd=most_usd(expert, most_prompt, most, allowed, query.service_tier),
            most_tokens=most,
            deviation=None if column is None else float(reading.deviation.array[column]),
            cached_tokens=cached,
            cache_usd=worth_usd(expert, cached),
        )

    def column(self, expert: Expert) -> int | None:
        """Return the index of an expert in the fitted router; None if it is unknown there."""
        known = self._known.get(expert.name)
        if known is None or known[0] is not expert:  # made anew when it changes
            column = self._columns.get(known_as(expert, self._columns))
            known = self._known[expert.name] = (expert, column)
        return known[1]


def _less(cost: float | None, saved: float) -> float | None:
    return None if cost is None else max(cost - saved, 0.0)


def _waiting(forecast: Forecast, expert: Expert, query: Query, waits: Waits) -> Forecast:
    """A forecast with the wait for the expert's engine in its time."""
    limit_ms = query.limits.max_latency_ms
    within_s = None if limit_ms is None else (limit_ms - forecast.latency_ms) / 1000
    wait_ms = 1000 * waits(expert, within_s)
    if wait_ms == 0:
        return forecast
    return structs.replace(forecast, latency_ms=forecast.latency_ms + wait_ms, wait_ms=wait_ms)


def expected_quality(expert: Expert, reading: Reading, column: int | None) -> float | None:
    """P(correct): the expert's own head's, or its skill profile weighted by the query's skills."""
    if column is not None:
        return float(reading.quality.array[column])
    if reading.evidence < ENOUGH_EVIDENCE:  # the skills that it was measured on are not asked for
        return None
    known = {skill: p for skill, p in reading.skills.items() if skill in expert.skills}
    weight = sum(known.values())
    if weight < ENOUGH_MEASURED:  # most of what the query asks for was never measured
        return None
    return sum(p * expert.skills[skill] for skill, p in known.items()) / weight
