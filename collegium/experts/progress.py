"""Detect a stalled engine: while it has work, its token counters must change.

vLLM's `/health` only shows that the API server is alive. Its engine core is another process: if
that freezes, `/health` stays well and no request is answered.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx

TOKENS = ("vllm:prompt_tokens_total{", "vllm:generation_tokens_total{")


class Progress:
    """Watches one process."""

    def __init__(self, patience_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience_s = patience_s
        self._clock = clock
        self._tokens = -1.0
        self._moved = clock()

    async def stalled(self, http: httpx.AsyncClient, *, busy: bool) -> bool:
        """Whether it has had work for the whole patience without producing a token."""
        tokens = await _tokens(http) if busy else None
        now = self._clock()
        if not busy:
            self._moved = now
        elif tokens is not None and tokens != self._tokens:  # a page that fails shows no progress
            self._moved, self._tokens = now, tokens
        return now - self._moved > self._patience_s


async def _tokens(http: httpx.AsyncClient) -> float | None:
    """Return all tokens read or produced so far; None if the engine doesn't report them."""
    try:
        text = (await http.get("/metrics")).text
    except httpx.HTTPError:
        return None
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(TOKENS))
