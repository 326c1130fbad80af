"""Benchmark a bulk job on engines that take turns, against a lower bound and arrival order.

Every expert is an engine of its own (a real vLLM process), and there is room for one of them.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from tqdm import tqdm

from collegium.evals.bench.journal import Journal
from collegium.evals.core.provenance import Provenance, provenance
from collegium.evals.tasks import TASKS
from collegium.experts.bulk.crew import work_through
from collegium.experts.bulk.order import Group, best_schedule
from collegium.experts.clients.reply import Call
from collegium.experts.pool import Pool
from collegium.experts.residency.live import Residents
from collegium.experts.supervisor import USUAL_START_S
from collegium.registry.expert import BUILTIN, Expert

MOST_TOKENS = 80


@dataclass(frozen=True)
class Line:
    """One line of the job."""

    number: int
    expert: str
    prompt: str

    @property
    def body(self) -> dict[str, Any]:
        """What the engine is asked."""
        messages = [{"role": "user", "content": self.prompt}]
        return {"messages": messages, "temperature": 0, "max_tokens": MOST_TOKENS}


@dataclass(frozen=True)
class Job:
    """The job in groups: seconds from its beginning to its last answer, and where they went.

    `rate` is tokens a second of each engine at full batch, measured on other lines like these.
    """

    makespan_s: float
    load_s: Mapping[str, float]
    answer_s: Mapping[str, float]
    tokens: Mapping[str, int]
    rate: Mapping[str, float]

    @property
    def bound_s(self) -> float:
        """Each engine loaded once, and its tokens at the best rate of its full batch.

        The job's own rate counts where it was better: neighbours on the machine slow either down.
        """
        pure = sum(min(self.answer_s[n], self.tokens[n] / self.rate[n]) for n in self.tokens)
        return sum(self.load_s.values()) + pure


@dataclass(frozen=True)
class ArrivalOrder:
    """The first lines in the order they came, engines loaded on demand; the rest extrapolated.

    Lines in a row for the same engine are asked together; such a stretch begins with a load.
    """

    seconds: float
    lines: int
    stretches: int
    all_stretches: int

    @property
    def makespan_s(self) -> float:
        """The seconds of a stretch, times all stretches."""
        return self.seconds / self.stretches * self.all_stretches


@dataclass(frozen=True)
class BatchBench:
    """What was measured, and what follows."""

    lines: int
    job: Job
    arrival_order: ArrivalOrder
    provenance: Provenance

    @property
    def over_bound(self) -> float:
        """Makespan by lower bound."""
        return self.job.makespan_s / self.job.bound_s

    @property
    def speed_up(self) -> float:
        """Arrival order's makespan by the job's."""
        return self.arrival_order.makespan_s / self.job.makespan_s

    def to_dict(self) -> dict[str, Any]:
        """Everything, derived values too."""
        return asdict(self) | {
            "bound_s": self.job.bound_s,
            "over_bound": self.over_bound,
            "arrival_order_makespan_s": self.arrival_order.makespan_s,
            "speed_up": self.speed_up,
        }


class Bench:
    """Measures in two parts; each is kept in `folder` once done, and not repeated."""

    def __init__(self, residents: Residents, timeout_s: float, folder: Path) -> None:
        self._residents = residents
        self._pool = Pool(residents.engines, timeout_s=timeout_s)
        self._folder = folder
        self._experts = {name: _expert(name) for name in residents.engines}

    async def run(self, per_expert: int, stretches: int, seed: int, command: str) -> BatchBench:
        """Do the job in groups, then begin it in arrival order."""
        lines = shuffled(tuple(self._experts), per_expert, seed)
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            job = self._kept("job", Job) or self._keep("job", await self._job(lines, seed))
            order = self._kept("arrival-order", ArrivalOrder) or self._keep(
                "arrival-order", await self._arrival_order(lines, stretches)
            )
        finally:
            await self._residents.aclose()
            await self._pool.aclose()
        counts = {"lines": len(lines), "experts": len(self._experts)}
        return BatchBench(len(lines), job, order, provenance(command, seed, counts))

    async def _job(self, lines: Sequence[Line], seed: int) -> Job:
        path = self._folder / "output.jsonl"
        path.unlink(missing_ok=True)
        journal = Journal(path)
        list(journal.open())
        groups = [Group(name, 1.0, USUAL_START_S, 1.0) for name in self._experts]
        order = best_schedule(groups, 1.0, self._residents.resident).order
        load_s, answer_s, tokens, rate = {}, {}, {}, {}
        makespan_s = 0.0
        with tqdm(total=len(lines), desc="in groups", unit="line") as bar:
            for name in order:
                began = (
                    time.perf_counter()
                )  # from here to the last answer: also the one before ends
                mine = [line for line in lines if line.expert == name]
                async with self._residents.hold(name):
                    answer_s[name], tokens[name] = await self._ask(mine, journal, bar)
                    makespan_s += time.perf_counter() - began
                    rate[name] = await self._rate(name, len(mine), seed)
                load_s[name] = self._residents.load_s[name]
        await journal.close()
        return Job(makespan_s, load_s, answer_s, tokens, rate)

    async def _rate(self, name: str, count: int, seed: int) -> float:
        """Tokens a second at full batch on lines that the engine has not seen."""
        others = shuffled((name,), count, seed + 1)
        seconds, tokens = await self._ask(others, None, None)
        return tokens / seconds

    async def _arrival_order(self, lines: Sequence[Line], most: int) -> ArrivalOrder:
        stretches = [list(group) for _, group in groupby(lines, key=lambda line: line.expert)]
        # One that is still loaded from the job would save its load: begin with another.
        first = next(
            i for i, s in enumerate(stretches) if s[0].expert not in self._residents.resident
        )
        measured = stretches[first : first + most]
        began = time.perf_counter()
        for stretch in tqdm(measured, desc="arrival order", unit="stretch"):
            async with self._residents.hold(stretch[0].expert):
                await self._ask(stretch, None, None)
        seconds = time.perf_counter() - began
        return ArrivalOrder(seconds, sum(map(len, measured)), len(measured), len(stretches))

    async def _ask(
        self, lines: Sequence[Line], journal: Journal | None, bar: Any
    ) -> tuple[float, int]:
        """Seconds and generated tokens of some lines of one engine, asked at its full batch."""
        tokens = 0
        began = time.perf_counter()

        async def one(line: Line) -> None:
            nonlocal tokens
            async with self._pool.ask(Call(self._experts[line.expert], line.body)) as reply:
                answer = await reply.whole()
            tokens += answer.usage.completion_tokens if answer.usage else 0
            if journal is not None:
                await journal.append({"number": line.number, "answer": answer.body()})
                bar.update()

        at_once = self._residents.engines[lines[0].expert].spec.max_sequences
        await work_through(lines, one, at_once=at_once)
        return time.perf_counter() - began, tokens

    def _kept(self, name: str, kind: Any) -> Any:
        path = self._folder / f"{name}.json"
        return kind(**json.loads(path.read_text())) if path.is_file() else None

    def _keep(self, name: str, found: Any) -> Any:
        (self._folder / f"{name}.json").write_text(json.dumps(asdict(found), indent=2))
        return found


def shuffled(experts: Sequence[str], per_expert: int, seed: int) -> list[Line]:
    """Questions of the experts' tasks, as if they came from people: in no order."""
    asked = [
        (name, example.prompt)
        for name in experts
        for example in TASKS[name].examples("test", per_expert, seed)
    ]
    random.Random(seed).shuffle(asked)
    return [Line(number, name, prompt) for number, (name, prompt) in enumerate(asked)]


def _expert(name: str) -> Expert:
    return Expert(name, "lora", name, engine=name, adapter=f"{BUILTIN}{name}")
