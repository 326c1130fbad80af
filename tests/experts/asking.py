"""How the tests of the HTTP client ask: for a whole answer, and for a streamed one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import pytest

from collegium.experts.client import HttpExpert, Json

BODY = {"messages": [{"role": "user", "content": "Hi"}], "model": "auto", "top_k": 5}


async def streamed(client: HttpExpert) -> list[Json]:
    """All chunks of one answer."""
    async with aclosing(client.stream(BODY)) as chunks:  # type: ignore[type-var]
        return [chunk async for chunk in chunks]


Asking = Callable[[HttpExpert], Any]
WAYS: dict[str, Asking] = {"whole": lambda client: client.complete(BODY), "streamed": streamed}
both_ways = pytest.mark.parametrize("ask", WAYS.values(), ids=WAYS.keys())
