"""Ask every expert every prompt, and store the results."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from collegium.errors import ExpertError, SetupError
from collegium.evals.tasks.base import Example, Task
from collegium.evals.tasks.cells import CellKey, CellLog, cell_key
from collegium.evals.tasks.outcomes import Failure, Outcomes
from collegium.experts.questions.endpoint import Answer

Ask = Callable[[str, str], Awaitable[Answer]]
"""From the name of an expert and a prompt to the expert's greedy answer."""

ATTEMPTS = 3
# So many failures in succession mean that the service is gone: stop, and go on another day.
HOPELESS = 20
WORTH_RETRYING = frozenset({408, 429})


async def collect(
    ask: Ask,
    experts: Mapping[str, str],
    examples: Sequence[Example],
    tasks: Mapping[str, Task],
    log: Path,
    *,
    split: str = "test",
    concurrency: int = 8,
    pause_s: float = 1.0,
    progress: bool = True,
    label: str = "asking the experts",
) -> Outcomes:
    """Return the outcomes of all experts (name to fingerprint) on all examples.

    Cells that are in `log` are not asked again. A cell that keeps failing has no score, and is
    named in `failures`.
    """
    if concurrency < 1:
        raise ValueError("concurrency must be at least 1")
    if unknown := sorted({example.task for example in examples} - set(tasks)):
        raise ValueError(f"no task can mark the examples of {', '.join(unknown)}")
    with CellLog(log) as cells:
        run = _Run(ask, experts, cells, pause_s)
        await run.fill(examples, concurrency, label if progress else None)
        return mark(examples, experts, tasks, cells.answers, split, run.failures)


def mark(
    examples: Sequence[Example],
    experts: Mapping[str, str],
    tasks: Mapping[str, Task],
    answers: Mapping[CellKey, Answer],
    split: str,
    failures: Sequence[Failure] = (),
) -> Outcomes:
    """Mark the answers with the tasks' checks; missing answers stay NaN."""
    values = np.full((4, len(examples), len(experts)), np.nan)
    for row, example in enumerate(examples):
        for column, (expert, fingerprint) in enumerate(experts.items()):
            answer = answers.get(cell_key(example.prompt, expert, fingerprint))
            if answer is not None:
                values[:, row, column] = (
                    tasks[example.task].check(example, answer.text),
                    answer.latency_s,
                    answer.prompt_tokens,
                    answer.completion_tokens,
                )
    return Outcomes.of(examples, tuple(experts), values, split, failures)


class _Run:
    """One run over the cells that the log lacks."""

    def __init__(
        self, ask: Ask, experts: Mapping[str, str], cells: CellLog, pause_s: float
    ) -> None:
        self.failures: list[Failure] = []
        self._ask = ask
        self._experts = experts
        self._cells = cells
        self._pause_s = pause_s
        self._failures_in_succession = 0

    async def fill(self, examples: Sequence[Example], concurrency: int, label: str | None) -> None:
        """Ask for what is missing, `concurrency` cells at a time; a bar shows it under `label`."""
        missing = self._missing(examples)
        total = len(examples) * len(self._experts)
        with tqdm(
            total=total,
            initial=total - len(missing),
            unit="answer",
            desc=label,
            disable=label is None,
            mininterval=1.0,
        ) as bar:
            queue = iter(missing)
            workers = [
                asyncio.create_task(self._work(queue, bar.update)) for _ in range(concurrency)
            ]
            try:
                await asyncio.gather(*workers)
            finally:  # nobody may write to the log after we have left
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)

    def _missing(self, examples: Sequence[Example]) -> list[tuple[Example, CellKey]]:
        # One expert after another: an engine that runs one adapter at a time answers faster.
        keys = [
            (example, cell_key(example.prompt, expert, fingerprint))
            for expert, fingerprint in self._experts.items()
            for example in examples
        ]
        return [(example, key) for example, key in keys if key not in self._cells.answers]

    async def _work(
        self, queue: Iterator[tuple[Example, CellKey]], done: Callable[[], object]
    ) -> None:
        for example, key in queue:
            try:
                answer = await self._patiently(key.expert, example.prompt)
            except ExpertError as exc:
                self._fail(example, key, exc)
            else:
                self._failures_in_succession = 0
                self._cells.add(key, example.prompt_id, answer)
            done()

    async def _patiently(self, expert: str, prompt: str) -> Answer:
        for attempt in range(1, ATTEMPTS):
            try:
                return await self._ask(expert, prompt)
            except ExpertError as exc:
                if not _worth_retrying(exc):
                    raise
            await asyncio.sleep(self._pause_s * 2 ** (attempt - 1))
        return await self._ask(expert, prompt)

    def _fail(self, example: Example, key: CellKey, error: ExpertError) -> None:
        self.failures.append(Failure(example.prompt_id, key.expert, str(error)))
        self._failures_in_succession += 1
        if self._failures_in_succession >= HOPELESS:
            raise SetupError(
                f"{HOPELESS} questions in succession failed, the last with: {error}. "
                "Run the same command again to go on from here."
            ) from error


def _worth_retrying(error: ExpertError) -> bool:
    return error.http_status >= 500 or error.http_status in WORTH_RETRYING
