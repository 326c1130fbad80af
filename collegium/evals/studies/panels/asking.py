"""The ways to ask a live pool, by the names under which their answers are stored.

`collegium/MODE` is a panel, `auto` what the service makes of `routing.aggregate: "auto"`,
`EXPERT#3` the third sample of an expert, `routed#3` that of whom the router chose for the prompt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from collegium.experts.questions.endpoint import ROUTER, Answer, Endpoint
from collegium.router.panels.planning import SAMPLING

ROUTED = "routed"
SAMPLES = 6
"""As many tokens as the modes' calls take: three members and an aggregator who reads them all."""


def samples_of(name: str, count: int = SAMPLES) -> list[str]:
    """The names of an expert's samples."""
    return [f"{name}#{number}" for number in range(1, count + 1)]


@dataclass(frozen=True)
class WayAsker:
    """Asks a service in a way, by its name."""

    service: Endpoint
    routed: Mapping[str, str]
    """The router's choice by prompt."""

    async def __call__(self, way: str, prompt: str) -> Answer:
        """The answer, with the tokens of all calls that it took."""
        if way == ROUTER:
            return await self.service.ask(ROUTER, prompt, routing={"aggregate": "auto"})
        name, _, number = way.partition("#")
        if not number:
            return await self.service.ask(name, prompt)
        expert = self.routed[prompt] if name == ROUTED else name
        drawn: dict[str, Any] = {"temperature": SAMPLING, "seed": int(number), "logprobs": True}
        return await self.service.ask(expert, prompt, **drawn)
