"""An engine that makes tokens is well; one that has work and makes none is hung."""

from __future__ import annotations

import httpx

from collegium.experts.progress import Progress

PATIENCE_S = 60.0


class Engine:
    """Its page of metrics, and a clock that goes on by ten seconds a look."""

    def __init__(self) -> None:
        self.tokens: float | None = 5.0
        self.now = 0.0
        self.http = httpx.AsyncClient(
            base_url="http://engine", transport=httpx.MockTransport(self._page)
        )
        self.progress = Progress(PATIENCE_S, lambda: self.now)

    def _page(self, request: httpx.Request) -> httpx.Response:
        if self.tokens is None:
            raise httpx.ReadTimeout("busy", request=request)
        return httpx.Response(200, text=f"vllm:generation_tokens_total{{}} {self.tokens}\n")

    async def looked(self, *, busy: bool = True) -> bool:
        """Whether it is stalled, ten seconds after the last look."""
        self.now += 10
        return await self.progress.stalled(self.http, busy=busy)


async def test_an_engine_that_makes_no_token_is_stalled() -> None:
    """After its patience, counted from the last token."""
    engine = Engine()
    assert [await engine.looked() for _ in range(8)] == [False] * 7 + [True]


async def test_tokens_and_idleness_are_no_stall() -> None:
    """However long they last."""
    engine = Engine()
    for number in range(20):
        engine.tokens = float(number)
        assert not await engine.looked()
    assert not any([await engine.looked(busy=False) for _ in range(20)])
    assert not await engine.looked()


async def test_metrics_that_come_and_go_show_no_progress() -> None:
    """A hung engine on a busy machine is slow to tell of itself, too."""
    engine = Engine()
    found = []
    for number in range(10):
        engine.tokens = None if number % 2 else 5.0
        found.append(await engine.looked())
    assert found == [False] * 7 + [True] * 3
