"""Forecast how many tokens an answer has: the mean and the 98 % quantile.

A hierarchy of log-normal distributions: prior → expert → application. An application's level is its
expert's, moved by its own answers; an expert's is the prior's, moved by its applications, of which
each counts once however many answers it has. What is unknown of a level widens the quantile. The
weights of answers fade, so that an expert that becomes wordier is followed.

The constants are measured on the recorded sets that have lengths (BFCL, MMLU-Pro, AlpacaEval,
RouterBench; 719 pairs of a model and a category with at least 30 answers; characters / 4 where no
tokens were recorded). Share of held-out answers within the quantile, and the quantile as a multiple
of the true mean, after n answers of an application:

    of the expert known        n = 0          n = 10         n = 100
    nothing               100 % (24)    99.2 % (4.0)    99.0 % (3.5)
    one application      98.7 % (13)    99.2 % (3.9)    99.0 % (3.5)
    all its other ones   98.2 % (10)    99.2 % (3.9)    99.0 % (3.5)

The exception are experts of which only one-letter answers are known when an application that asks
for programs begins: 67 % before its first answer, 100 % after its third. No recorded set has
reasoning models; their prior is an assumption.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from collegium.experts.presets import NOTHING, Added, added_by
from collegium.registry.expert import Expert
from collegium.router.costs import DEFAULT_TOKENS
from collegium.router.decision import Query

QUANTILE = 2.054
"""Standard deviations to the 98 % quantile of a normal distribution."""
VARIANCE = 0.9**2
"""Of log tokens within an application: its deviation is 0.4 to 0.9 for half of the pairs."""
BETWEEN = 0.8**2
"""Between the applications of an expert: 0.3 to 0.5 within a set, 2.3 from letters to programs."""
UNKNOWN = 0.9**2
"""Between experts: 0.5 to 0.75 within a set, and sets differ."""
TABULATED = 0.7**2
"""The weight of a fitted router's mean, which was measured on other prompts."""
VARIANCE_ANSWERS = 4
"""Answers that the prior variance counts for."""
FADING = 0.995
"""An older answer's weight against the next one's: the last 200 count."""
FEWEST, NEWEST = 30, 256
"""From FEWEST answers on, the quantile is at least that of the NEWEST ones: models that fall into
loops have bimodal lengths.
"""
MARGIN = 0.1
"""A margin on the logarithm of that quantile, which 30 answers don't determine well."""
PROMPT_MARGIN = 1.25
"""By how much the expert may count more prompt tokens: 96 % of recorded prompts are within it."""
PROMPTS = 50
"""The number of an expert's prompts from which its overhead is estimated."""
MOST_APPLICATIONS = 1000
"""An expert's applications beyond these are taken as one, like answers of no application."""


class TokenForecast(NamedTuple):
    """Tokens of an answer: the mean, and what 98 % of answers stay within."""

    mean: float
    most: float


class Prior(NamedTuple):
    """The assumption for an expert without answers: mean, log mean, and the latter's variance."""

    mean: float
    level: float
    doubt: float = UNKNOWN


ORDINARY = Prior(DEFAULT_TOKENS, math.log(120))
"""Median 120, 98 % within 2,200: the longest-winded of the recorded models need 1,500."""
REASONING = Prior(2000, math.log(1500))
"""Thoughts are billed as tokens of the answer: median 1,500, 98 % within 27,000."""
_THINKS = re.compile(
    r"(^|[-/_:])(o[1345]|r1|qwq|gpt-5|gpt-oss|thinking|think|reason\w*|magistral)\b", re.IGNORECASE
)


class Tokens:
    """The lengths of answers, learnt from those that pass by."""

    def __init__(self) -> None:
        self._experts: dict[str, _Level] = {}
        self._beyond: dict[str, deque[int]] = {}
        self._presets: dict[str, tuple[Mapping[str, Any], Added]] = {}

    def prompt(self, expert: Expert, counted: int) -> tuple[int, int]:
        """Return what an expert reads of a prompt: the expected and the maximum number of tokens.

        A preset's own text is counted; a retrieval endpoint adds what nobody counts before. What
        answers were billed for beyond the margin is added from then on.
        """
        counted += self._added(expert).prompt_tokens
        beyond = self._beyond.get(expert.name)
        margin = math.ceil(PROMPT_MARGIN * counted)
        if beyond is None:
            return counted, margin
        return counted + sum(beyond) // len(beyond), margin + max(beyond)

    def read(self, expert: Expert, counted: int, billed: int) -> None:
        """Take into account what an expert was billed for reading."""
        counted += self._added(expert).prompt_tokens
        beyond = max(billed - math.ceil(PROMPT_MARGIN * counted), 0)
        known = self._beyond.get(expert.name)
        if known is None and beyond:  # of most experts nothing has to be kept
            known = self._beyond[expert.name] = deque(maxlen=PROMPTS)
        if known is not None:
            known.append(beyond)

    def forecast(
        self, expert: Expert, application: str | None, usual: float | None = None
    ) -> TokenForecast:
        """The expert's next answer in an application; `usual` is a fitted router's mean."""
        if usual is not None:
            prior = tabulated(usual)
        else:
            prior = REASONING if self._added(expert).thinks else prior_of(expert.model)
        level = self._experts.get(expert.name)
        if level is not None:
            return level.forecast(application, prior)
        deviation = math.sqrt(VARIANCE + BETWEEN + prior.doubt)
        return TokenForecast(prior.mean, math.exp(prior.level + QUANTILE * deviation))

    def allowed(self, expert: Expert, query: Query) -> int | None:
        """The most tokens of one choice that the request allows, or the expert's preset for it."""
        return query.max_tokens or self._added(expert).max_tokens

    def within(
        self, expert: Expert, query: Query, prompt_tokens: int, usual: float | None
    ) -> tuple[int, int]:
        """Mean and most of all choices together, within what the request and the engine allow."""
        mean, most = self.forecast(expert, query.application, usual)
        room = self.allowed(expert, query) or math.inf
        if expert.engine is not None:  # of others the context may not be known
            room = max(min(room, expert.context_window - prompt_tokens), 1)
        count = max(1, round(min(mean, room))) * query.choices
        return count, max(math.ceil(min(most, room)) * query.choices, count)

    def learn(
        self, expert: str, application: str | None, tokens: int, *, cut: bool = False
    ) -> None:
        """Take one finished answer into account; of one that was `cut` by `max_tokens` only that
        it is long: it raises the mean, and the quantile if it is longer than that.
        """
        level = self._experts.get(expert)
        if tokens <= 0 or (cut and (level is None or tokens < level.mean(application))):
            return
        if level is None:
            level = self._experts[expert] = _Level()
        level.learn(application, tokens, cut=cut)

    def recall(self, answers: Iterable[tuple[str, str | None, int]]) -> None:
        """Start from answers of the past, oldest first: expert, application, tokens."""
        for expert, application, tokens in answers:
            self.learn(expert, application, tokens)

    def _added(self, expert: Expert) -> Added:
        preset = expert.preset
        if preset is None:
            return NOTHING
        known = self._presets.get(expert.name)
        if known is None or known[0] is not preset:  # a router looks at it for every request
            known = self._presets[expert.name] = (preset, added_by(preset))
        return known[1]


@lru_cache(maxsize=4096)
def prior_of(model: str) -> Prior:
    """The prior for a model's name: reasoning models think aloud and at length."""
    return REASONING if _THINKS.search(model) else ORDINARY


def tabulated(usual: float) -> Prior:
    """A prior around a mean from a fitted router's table."""
    mean = max(usual, 1.0)
    return Prior(mean, math.log(mean) - VARIANCE / 4, TABULATED)


class _Level:
    """One expert: its applications, and what they predict for an unknown one."""

    def __init__(self) -> None:
        self._applications: dict[str | None, _Answers] = {}
        self._weight = 0.0
        self._level = 0.0
        self._mean = 0.0

    def forecast(self, application: str | None, prior: Prior) -> TokenForecast:
        known = 1 / prior.doubt
        weight = self._weight + known
        level = (self._level + known * prior.level) / weight
        mean = (self._mean + known * prior.mean) / weight
        doubt = BETWEEN + 1 / weight
        own = self._applications.get(application)
        if own is None:
            deviation = math.sqrt(VARIANCE + doubt)
            return TokenForecast(mean, math.exp(level + QUANTILE * deviation))
        return own.forecast(mean, level, doubt)

    def mean(self, application: str | None) -> float:
        """The mean of the answers so far in an application, or in all of them."""
        own = self._applications.get(application)
        return self._mean / self._weight if own is None else own.mean

    def learn(self, application: str | None, tokens: int, *, cut: bool) -> None:
        own = self._applications.get(application)
        if own is None and len(self._applications) >= MOST_APPLICATIONS:
            application, own = None, self._applications.get(None)
        if own is None:
            own = self._applications[application] = _Answers()
        else:
            self._count(own, -1.0)
        if cut and own.holds(tokens):
            own.lengthen(tokens)
        else:
            own.learn(tokens)
        self._count(own, 1.0)

    def _count(self, own: _Answers, sign: float) -> None:
        weight = sign / (BETWEEN + own.variance / own.weight)
        self._weight += weight
        self._level += weight * own.level
        self._mean += weight * own.mean


class _Answers:
    """The answers of one expert in one application."""

    def __init__(self) -> None:
        self.weight = 0.0
        self.level = 0.0
        """Mean of log tokens."""
        self.mean = 0.0
        """Mean of tokens."""
        self.variance = VARIANCE
        self._squares = 0.0
        self._seen: deque[float] = deque(maxlen=NEWEST)
        self._least_quantile = 0.0

    def forecast(self, mean: float, level: float, doubt: float) -> TokenForecast:
        """Return the forecast for an application, with the prior for a new one."""
        before, now = 1 / doubt, self.weight / self.variance
        weight = before + now
        level = (before * level + now * self.level) / weight
        mean = (before * mean + now * self.mean) / weight
        few = 1 + 1 / (VARIANCE_ANSWERS + self.weight)  # a variance of few answers is unsure
        most = math.exp(level + QUANTILE * few * math.sqrt(self.variance + 1 / weight))
        return TokenForecast(mean, max(most, self._least_quantile))

    def holds(self, tokens: int) -> bool:
        """Whether so many tokens are within the quantile of the answers so far."""
        most = math.exp(self.level + QUANTILE * math.sqrt(self.variance))
        return self.weight > 0 and tokens <= max(most, self._least_quantile)

    def lengthen(self, tokens: int) -> None:
        """Take an answer that was cut into the mean alone: as a length it would narrow the rest."""
        self.mean += max(tokens - self.mean, 0.0) / (self.weight + 1)

    def learn(self, tokens: int) -> None:
        value = math.log(tokens)
        self.weight = FADING * self.weight + 1
        step = value - self.level
        self.level += step / self.weight
        self.mean += (tokens - self.mean) / self.weight
        self._squares = FADING * self._squares + step * (value - self.level)
        total = VARIANCE_ANSWERS * VARIANCE + self._squares
        self.variance = total / (VARIANCE_ANSWERS + self.weight)
        self._seen.append(value)
        if len(self._seen) >= FEWEST:
            rank = math.ceil(0.98 * len(self._seen)) - 1
            self._least_quantile = math.exp(sorted(self._seen)[rank] + MARGIN)
