"""Forecast an answer's duration under load: time to the first token, then time per token.

    TTFT = start + per_prompt_token · prompt tokens + per_waiting · load
    TPOT = per_token + per_loaded_token · load
    latency = TTFT + TPOT · output tokens

`load` is the number of other answers that the engine is making. All five are fitted to an expert's
own answers, none negative, by iteratively reweighted non-negative least squares on the relative
error, so that the forecast is about the median and one hanging answer moves it little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
ROUNDS = 12
LEAST_ERROR = 0.02  # relative; smaller errors weigh no more than this
LEAST_MS = 1.0
BEYOND = 4.0  # how far beyond the longest answer the assumed one lies


@dataclass(frozen=True)
class Timing:
    """One finished answer; `ttft_ms` is None if it was not streamed."""

    prompt_tokens: float
    output_tokens: float
    latency_ms: float
    ttft_ms: float | None = None
    load: float = 0.0


@dataclass(frozen=True)
class LatencyModel:
    """The five numbers, in milliseconds."""

    start: float
    per_prompt_token: float
    per_waiting: float
    per_token: float
    per_loaded_token: float

    def ttft_ms(self, prompt_tokens: float, load: float = 0.0) -> float:
        """Until the first token."""
        return self.start + self.per_prompt_token * prompt_tokens + self.per_waiting * load

    def tpot_ms(self, load: float = 0.0) -> float:
        """A token after another."""
        return self.per_token + self.per_loaded_token * load

    def latency_ms(self, prompt_tokens: float, output_tokens: float, load: float = 0.0) -> float:
        """The whole answer."""
        return self.ttft_ms(prompt_tokens, load) + self.tpot_ms(load) * output_tokens


def fit_latency(timings: Sequence[Timing]) -> LatencyModel:
    """Fit one expert's answers, at least one of them.

    Answers with a known time to the first token say which part of the time is which; where none
    was streamed, the split follows from how the whole time grows with the tokens. Where all answers
    are as long, nothing follows: so one far longer answer is assumed, in proportion, which a robust
    fit overrules as soon as the real ones say something else.
    """
    prompt, output, latency, ttft, load = _columns(timings)
    ones, zeros = np.ones_like(prompt), np.zeros_like(prompt)
    whole = np.column_stack([ones, prompt, load, output, load * output])
    known = np.isfinite(ttft)
    first = np.column_stack([ones, prompt, load, zeros, zeros])[known]
    longest = BEYOND * max(float(output.max()), 1.0)
    assumed = np.array([1.0, float(np.median(prompt)), 0.0, longest, 0.0])
    in_proportion = longest * float(np.median(latency / np.maximum(output, 1.0)))
    design = np.vstack([whole, first, assumed])
    target = np.maximum(np.r_[latency, ttft[known], in_proportion], LEAST_MS)
    return LatencyModel(*_relative_nnls(design, target).tolist())


def _columns(timings: Sequence[Timing]) -> Array:
    rows = [
        (t.prompt_tokens, t.output_tokens, t.latency_ms, _number(t.ttft_ms), t.load)
        for t in timings
    ]
    return np.asarray(rows, dtype=np.float64).T


def _number(value: float | None) -> float:
    return np.nan if value is None else value


def _relative_nnls(design: Array, target: Array) -> Array:
    """Minimise the sum of |relative error| over non-negative coefficients, shape (columns,)."""
    # A quarter of a second to load, and there is nothing to fit before the first answers.
    from scipy.optimize import nnls

    relative = design / target[:, None]
    scale = np.maximum(relative.max(axis=0), np.finfo(float).tiny)  # nnls is not scale-free
    relative = relative / scale
    weights = np.ones(len(target))
    for _ in range(ROUNDS):
        root = np.sqrt(weights)
        solution, _ = nnls(root[:, None] * relative, root)
        weights = 1 / np.maximum(np.abs(relative @ solution - 1), LEAST_ERROR)
    return np.asarray(solution / scale)


def loads(started: Array, finished: Array) -> Array:
    """Return how many other answers were running when each one began, shape (n,); times in any
    unit.

    For recorded answers of one engine, whose load nobody wrote down.
    """
    before = np.searchsorted(np.sort(started), started, side="left")
    gone = np.searchsorted(np.sort(finished), started, side="right")
    return np.asarray(np.maximum(before - gone, 0), dtype=np.float64)
