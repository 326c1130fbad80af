"""Collecting answers: nothing is asked twice, nothing is lost, nothing is made up."""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from collegium.errors import (
    ExpertError,
    ExpertRejected,
    ExpertTimeout,
    ExpertUnavailable,
    SetupError,
)
from collegium.evals.tasks.base import Example, Split
from collegium.evals.tasks.cells import CellLog, cell_key
from collegium.evals.tasks.collect import HOPELESS, collect
from collegium.evals.tasks.outcomes import Outcomes
from collegium.experts.questions.answers import fingerprint
from collegium.experts.questions.endpoint import Answer
from collegium.registry.expert import Expert

EXPERTS = {"echo": "v1", "mute": "v1"}


class Echo:
    """A task that is solved by saying the prompt again."""

    name = "echo"

    def examples(self, split: Split, count: int, seed: int = 0) -> list[Example]:
        """Number the prompts."""
        return [Example(f"{split}-{n}", "echo", "{n}", f"say {n}", "") for n in range(count)]

    def check(self, example: Example, answer: str) -> bool:
        """Compare with the prompt."""
        return answer == example.prompt


class Experts:
    """Two experts that count what they are asked; some cells fail a number of times."""

    def __init__(self, failing: dict[tuple[str, str], Sequence[BaseException]] | None = None):
        self.asked: Counter[tuple[str, str]] = Counter()
        self.failing = {cell: list(errors) for cell, errors in (failing or {}).items()}
        self.busy = self.most_busy = 0

    async def __call__(self, expert: str, prompt: str) -> Answer:
        """Answer after a moment, or fail."""
        self.asked[expert, prompt] += 1
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        await asyncio.sleep(0)
        self.busy -= 1
        if errors := self.failing.get((expert, prompt)):
            raise errors.pop(0)
        return Answer(prompt if expert == "echo" else "", 3, 2, 0.5)


TASKS = {"echo": Echo()}
EXAMPLES = Echo().examples("test", 5)


async def run(
    ask: Experts, log: Path, experts: dict[str, str] = EXPERTS, concurrency: int = 3
) -> Outcomes:
    """Collect without a bar and without pauses."""
    return await collect(
        ask, experts, EXAMPLES, TASKS, log, concurrency=concurrency, pause_s=0, progress=False
    )


async def test_every_expert_is_asked_every_prompt_once(tmp_path: Path) -> None:
    """The outcomes hold marks, tokens and latencies of all cells."""
    ask = Experts()
    outcomes = await run(ask, tmp_path / "cells.jsonl")
    assert set(ask.asked.values()) == {1}
    assert len(ask.asked) == 10
    np.testing.assert_array_equal(outcomes.scores, [[1, 0]] * 5)
    np.testing.assert_array_equal(outcomes.extras["latency_s"], np.full((5, 2), 0.5))
    np.testing.assert_array_equal(outcomes.extras["in_tokens"], np.full((5, 2), 3))
    np.testing.assert_array_equal(outcomes.extras["out_tokens"], np.full((5, 2), 2))
    assert outcomes.failures == ()
    assert outcomes.labels["split"] == ("test",) * 5


async def test_no_more_than_the_wanted_number_is_asked_at_once(tmp_path: Path) -> None:
    """Concurrency is a bound, and it is used."""
    ask = Experts()
    await run(ask, tmp_path / "cells.jsonl", concurrency=4)
    assert ask.most_busy == 4


async def test_an_interrupted_run_asks_only_the_missing_cells(tmp_path: Path) -> None:
    """A run that is cancelled half way goes on where it stopped."""
    log = tmp_path / "cells.jsonl"
    stopped = asyncio.Event()

    class Stopping(Experts):
        async def __call__(self, expert: str, prompt: str) -> Answer:
            answer = await super().__call__(expert, prompt)
            if self.asked.total() > 6:
                stopped.set()
                await asyncio.sleep(60)
            return answer

    task = asyncio.create_task(run(Stopping(), log, concurrency=2))
    await stopped.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    kept = len(log.read_text().splitlines())
    assert 5 <= kept < 10

    again = Experts()
    outcomes = await run(again, log)
    assert again.asked.total() == 10 - kept
    assert np.isfinite(outcomes.scores).all()
    assert same_scores(outcomes, await run(Experts(), tmp_path / "fresh.jsonl"))


def same_scores(first: Outcomes, second: Outcomes) -> bool:
    """Compare two runs' marks."""
    return np.array_equal(first.scores, second.scores)


async def test_a_line_torn_by_a_kill_is_asked_again(tmp_path: Path) -> None:
    """Half a line at the end is dropped; the rest of the log is kept and stays readable."""
    log = tmp_path / "cells.jsonl"
    await run(Experts(), log)
    log.write_bytes(log.read_bytes()[:-20])
    ask = Experts()
    await run(ask, log)
    assert ask.asked.total() == 1
    assert len([json.loads(line) for line in log.read_text().splitlines()]) == 10


async def test_a_changed_expert_is_asked_again(tmp_path: Path) -> None:
    """Answers belong to a fingerprint: new weights under an old name are measured anew."""
    log = tmp_path / "cells.jsonl"
    await run(Experts(), log)
    ask = Experts()
    await run(ask, log, {"echo": "v2", "mute": "v1"})
    assert {expert for expert, _ in ask.asked} == {"echo"}
    assert ask.asked.total() == 5


async def test_answers_are_marked_anew_each_time(tmp_path: Path) -> None:
    """The log keeps answers, so a mended checker needs no engine."""

    class Lenient(Echo):
        def check(self, example: Example, answer: str) -> bool:
            return True

    log = tmp_path / "cells.jsonl"
    await run(Experts(), log)
    ask = Experts()
    outcomes = await collect(ask, EXPERTS, EXAMPLES, {"echo": Lenient()}, log, progress=False)
    assert not ask.asked
    assert outcomes.scores.all()


async def test_a_cell_that_fails_twice_is_retried(tmp_path: Path) -> None:
    """A passing trouble leaves no trace in the outcomes."""
    cell = ("echo", "say 2")
    ask = Experts({cell: [ExpertTimeout("echo", "slow"), ExpertUnavailable("echo", "busy")]})
    outcomes = await run(ask, tmp_path / "cells.jsonl")
    assert ask.asked[cell] == 3
    assert outcomes.failures == ()
    assert outcomes.scores[2, 0] == 1


async def test_a_cell_that_keeps_failing_is_reported_and_never_scored(tmp_path: Path) -> None:
    """It is NaN, named with its error, and the next run asks for it alone."""
    log = tmp_path / "cells.jsonl"
    errors = [ExpertTimeout("mute", "no answer in time")] * 3
    outcomes = await run(Experts({("mute", "say 4"): errors}), log)
    assert np.isnan(outcomes.scores[4, 1])
    assert np.isnan(outcomes.scores).sum() == 1
    (failure,) = outcomes.failures
    assert (failure.prompt_id, failure.expert) == ("test-4", "mute")
    assert "no answer in time" in failure.error
    ask = Experts()
    (await run(ask, log)).require_complete()
    assert ask.asked == {("mute", "say 4"): 1}


async def test_a_refusal_is_not_retried(tmp_path: Path) -> None:
    """What the expert understood and refused, it refuses again."""
    cell = ("mute", "say 0")
    ask = Experts({cell: [ExpertRejected("mute", "too long", 400)]})
    outcomes = await run(ask, tmp_path / "cells.jsonl")
    assert ask.asked[cell] == 1
    assert len(outcomes.failures) == 1


async def test_a_service_that_is_gone_ends_the_run(tmp_path: Path) -> None:
    """After many failures in succession we stop waiting, and say how to go on."""
    asked = 0

    async def gone(expert: str, prompt: str) -> Answer:
        nonlocal asked
        asked += 1
        raise ExpertError(expert, "connection refused")

    examples = Echo().examples("test", 40)
    with pytest.raises(SetupError, match=r"connection refused.*Run the same command again"):
        await collect(gone, EXPERTS, examples, TASKS, tmp_path / "log", pause_s=0, progress=False)
    assert asked <= 3 * (HOPELESS + 8)


async def test_a_defect_is_not_taken_for_a_failing_expert(tmp_path: Path) -> None:
    """An error that is no expert's ends the run as itself."""
    ask = Experts({("echo", "say 1"): [ZeroDivisionError()]})
    with pytest.raises(ZeroDivisionError):
        await run(ask, tmp_path / "cells.jsonl")


async def test_it_says_how_far_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The bar counts the cells of earlier runs, and goes to stderr."""
    await collect(Experts(), EXPERTS, EXAMPLES, TASKS, tmp_path / "log")
    printed = capsys.readouterr()
    assert "asking the experts" in printed.err
    assert "10/10" in printed.err
    assert printed.out == ""


async def test_it_refuses_examples_that_nobody_can_mark(tmp_path: Path) -> None:
    """An unknown task is found before anyone is asked."""
    strange = [replace(EXAMPLES[0], task="poetry")]
    with pytest.raises(ValueError, match="poetry"):
        await collect(Experts(), EXPERTS, strange, TASKS, tmp_path / "log")
    with pytest.raises(ValueError, match="at least 1"):
        await run(Experts(), tmp_path / "log", concurrency=0)


def test_a_garbled_log_is_named_with_the_line(tmp_path: Path) -> None:
    """A line in the middle that is no cell is an error, not a lost answer."""
    log = tmp_path / "cells.jsonl"
    log.write_text('{"prompt": "x"}\n')
    with pytest.raises(SetupError, match=r"cells\.jsonl, line 1"), CellLog(log):
        pass


def test_two_runs_do_not_share_a_log(tmp_path: Path) -> None:
    """The second is told so at once."""
    log = tmp_path / "cells.jsonl"
    with CellLog(log), pytest.raises(SetupError, match="another run"), CellLog(log):
        pass


def test_a_finished_cell_is_on_disk_at_once(tmp_path: Path) -> None:
    """A kill loses the cells in flight and no other."""
    log = tmp_path / "cells.jsonl"
    with CellLog(log) as cells:
        cells.add(cell_key("p", "e", "f"), "id", Answer("text", 1, 2, 0.3))
        assert json.loads(log.read_text())["text"] == "text"


def test_a_fingerprint_follows_the_weights(tmp_path: Path) -> None:
    """Weights, model and length change it; the price and an engine's port do not."""
    (tmp_path / "adapter.safetensors").write_bytes(b"one")
    expert = Expert("sql", "lora", "sql", engine="main", base_url="http://127.0.0.1:1/v1")
    first = fingerprint(expert, weights=tmp_path)
    moved = replace(expert, base_url="http://127.0.0.1:2/v1", input_price=3.0)
    assert fingerprint(moved, weights=tmp_path) == first
    assert fingerprint(replace(expert, model="sql2"), weights=tmp_path) != first
    assert fingerprint(expert, weights=tmp_path, max_tokens=64) != first
    (tmp_path / "adapter.safetensors").write_bytes(b"two")
    assert fingerprint(expert, weights=tmp_path) != first


def test_a_remote_expert_is_known_by_its_address() -> None:
    """Two endpoints may give the same name to different models."""
    expert = Expert("x", "openai", "m", base_url="http://one/v1")
    assert fingerprint(expert) != fingerprint(replace(expert, base_url="http://two/v1"))
