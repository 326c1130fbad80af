"""Replay recorded answers through the real planner and modes, without asking any expert.

A call costs what the recorded answer cost. All members of a vote are counted, also those that a
live vote would have cancelled: nobody recorded who was fast.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from collegium.errors import NoFeasibleExpert, SetupError
from collegium.evals.core.arrays import Floats, Ints
from collegium.evals.routing.recorded import Recorded
from collegium.experts.aggregation.catalogue import make_mode
from collegium.experts.aggregation.events import Chosen
from collegium.experts.aggregation.options import Options
from collegium.experts.clients.events import Began, Finish, Text
from collegium.experts.clients.openai_shape import Listed
from collegium.experts.clients.reply import Call, Reply
from collegium.registry.expert import Expert
from collegium.router.decision import Decision, Forecast, Limits
from collegium.router.panels.plan import Wish
from collegium.router.panels.planning import plan
from collegium.router.panels.profiles import Profiles
from collegium.router.policy import cost

RESPONSES = "responses.jsonl.gz"
Texts = dict[tuple[int, int], str]
"""Recorded answers by row and model."""
Progress = Callable[[Iterable[int]], Iterable[int]]


@dataclass(frozen=True)
class Way:
    """One fixed way to answer: a mode with its parameters."""

    mode: str
    k: int = 1
    cap: float | None = None
    """Members cost at most this multiple of the single answer's expected cost."""
    threshold: float | None = None

    @property
    def name(self) -> str:
        """As tables show it."""
        if self.mode == "single":
            return "single"
        cap = "" if self.cap is None else f", members up to {self.cap:g} times its cost"
        threshold = "" if self.threshold is None else f" until {self.threshold:.0%} sure"
        return f"{self.mode} of {self.k}{threshold}{cap}"


@dataclass(frozen=True)
class Played:
    """What a way gave on each of some rows: marks and dollars, each (rows,)."""

    scores: Floats
    costs: Floats


def read_responses(folder: Path, prompt_ids: Sequence[str], models: Sequence[str]) -> Texts:
    """Read what each model said, by row and column."""
    path = folder / RESPONSES
    if not path.is_file():
        raise SetupError(f"{folder} has no '{RESPONSES}': panels need the answers' text")
    row = {name: i for i, name in enumerate(prompt_ids)}
    column = {name: i for i, name in enumerate(models)}
    found: Texts = {}
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            said = json.loads(line)
            if said["prompt_id"] in row and said["model"] in column:
                found[row[said["prompt_id"]], column[said["model"]]] = str(said["response"] or "")
    return found


class Replay:
    """A recorded set as a pool."""

    def __init__(
        self, data: Recorded, texts: Texts, known_costs: Floats, profiles: Profiles
    ) -> None:
        """`known_costs` (models,) are mean costs on training rows: what a router can know."""
        self._data = data
        self._texts = texts
        self._costs = known_costs
        self._profiles = profiles
        self._experts = tuple(
            Expert(name, "openai", name, input_price=0.0, output_price=0.0) for name in data.models
        )
        self._column = {name: i for i, name in enumerate(data.models)}

    def play(self, way: Way, rows: Ints, progress: Progress = iter) -> Played:
        """Answer every row this way; if a panel isn't possible, by a single expert."""
        return asyncio.run(self._play(way, rows, progress))

    async def _play(self, way: Way, rows: Ints, progress: Progress) -> Played:
        results = [await self._one(way, int(row)) for row in progress(rows)]
        table = np.array(results, dtype=np.float64).reshape(len(results), 2)
        return Played(table[:, 0], table[:, 1])

    async def _one(self, way: Way, row: int) -> tuple[float, float]:
        decision = self.decision(row)
        single = self._column[decision.expert]
        if way.mode == "single":
            return self._data.scores[row, single], self._data.costs[row, single]
        options = Options(threshold=0.8 if way.threshold is None else way.threshold)
        wish = Wish(way.mode, way.k, cap=way.cap, quorum=1, options=options)
        try:
            found = plan(wish, decision, self._experts, Limits(), self._profiles, 1)
        except NoFeasibleExpert:
            return self._data.scores[row, single], self._data.costs[row, single]
        asked: list[int] = []

        @asynccontextmanager
        async def ask(call: Call) -> AsyncGenerator[Reply]:
            column = self._column[call.expert.name]
            asked.append(column)
            text = Text(self._texts.get((row, column), ""))
            yield Reply(Listed([Began(call.expert.name), text, Finish("stop")]))

        body: dict[str, Any] = {"messages": [{"role": "user", "content": ""}]}
        seat = 0
        async for event in make_mode(way.mode, found.options).run(found.panel, body, ask):
            if isinstance(event, Chosen):
                seat = event.seat
        speaker = found.panel.members[seat].expert.name
        score = self._data.scores[row, self._column[speaker]]
        return float(score), float(self._data.costs[row, asked].sum())

    def decision(self, row: int) -> Decision:
        """The router's, by honest forecasts: the best one, whatever it costs."""
        forecasts = tuple(
            Forecast(expert.name, float(p), float(cost), 0.0, None, 1)
            for expert, p, cost in zip(
                self._experts, self._data.forecasts[row], self._costs, strict=True
            )
            if np.isfinite(self._data.scores[row, self._column[expert.name]])
        )
        best = max(forecasts, key=lambda f: (f.quality or 0.0, -cost(f)))
        return Decision(best.expert, "quality", best.quality or 0.0, "", forecasts, {}, 0.0, "auto")
