"""Run a large job on Ray Data, which spreads its pieces over the nodes and repeats lost ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

from collegium.errors import CollegiumError, SetupError
from collegium.web.batch.large.asking import Service
from collegium.web.batch.large.job import LargeJob, plan_name, planned, shards
from collegium.web.batch.large.stages import answer_shard, plan_range
from collegium.web.batch.large.storage import Storage

MOST_BLOCKS = 1000
Piece = TypeVar("Piece")
Counts = dict[str, int]


def connect(address: str) -> None:
    """Connect to the cluster; raise SetupError if it can't be reached."""
    import ray

    try:
        ray.init(address=address, log_to_driver=False, ignore_reinit_error=True)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as exc:
        raise SetupError(f"can't reach the Ray cluster at '{address}': {exc}") from exc
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    # A piece fails when the service is away for good: what it says is worth more than a trace.
    context.log_internal_stack_trace_to_stdout = False


def plan_all(job: LargeJob, folder: Storage, service: Service, *, tasks: int) -> Iterator[Counts]:
    """Decide every line of the file, before any is asked."""
    done = folder.names("plan")
    left = [n for n in range(len(job.ranges)) if plan_name(n) not in done]
    yield from _each(left, partial(plan_range, job, folder, service), tasks=tasks)


def answer_all(job: LargeJob, folder: Storage, service: Service, *, tasks: int) -> Iterator[Counts]:
    """Answer every line, shard by shard."""
    done = folder.names("output")
    every = shards(planned(folder, job), job.shard_lines)
    left = [shard for shard in every if f"output/{shard.name}" not in done]
    yield from _each(left, partial(answer_shard, job, folder, service), tasks=tasks)


def _each(
    pieces: Sequence[Piece], work: Callable[[Piece], Counts], *, tasks: int
) -> Iterator[Counts]:
    """Work on pieces in their order, `tasks` at a time; what a lost node had is done elsewhere.

    Tasks ask Ray for no CPU. They wait for the service and hardly compute, and engines may have
    taken every CPU that there is, for as long as they run.
    """
    if not pieces:
        return
    import ray

    def one(row: dict[str, Any]) -> Counts:
        return work(pieces[row["id"]])

    blocks = min(len(pieces), MOST_BLOCKS)
    numbers = [{"id": number} for number in range(len(pieces))]  # ray.data.range would take a CPU
    rows = ray.data.from_items(numbers, override_num_blocks=blocks)
    done = rows.map(one, num_cpus=0, compute=ray.data.TaskPoolStrategy(size=tasks))
    try:
        yield from done.iter_rows()
    except ray.exceptions.RayTaskError as exc:
        raise _told(exc) from exc


def _told(error: BaseException) -> CollegiumError:
    """What a piece failed of, in its own words."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, CollegiumError):
            return cause
        cause = getattr(cause, "cause", None) or cause.__cause__
    return CollegiumError(f"a piece of the job failed: {error}")
