"""Replicas on this machine, with a stub in the place of vLLM: they come, answer, fail and go."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from collegium.errors import ExpertUnavailable
from collegium.experts.clients.reply import Call
from collegium.experts.dispatch.attempts import Attempts
from collegium.experts.pool import Pool
from collegium.experts.replicas.replicated import Replicated
from collegium.experts.replicas.scaling import Bounds
from collegium.experts.supervisor import Supervisor
from collegium.experts.vllm import EngineSpec, as_child
from collegium.registry.expert import Expert
from tests.experts.engines import IMPATIENT, STUB, alive, spec_of, until

EXPERT = Expert("sql", "engine", "stub", engine="stub")
PATIENT = replace(IMPATIENT, stall_s=60.0)


@asynccontextmanager
async def replicated(folder: Path, bounds: Bounds, *, slots: int = 2) -> AsyncIterator[Replicated]:
    """An engine whose replicas are stubs."""

    def command(_: EngineSpec, port: int) -> list[str]:
        return as_child([sys.executable, str(STUB), str(port), str(folder)])

    def supervise(spec: EngineSpec, log: Path) -> Supervisor:
        return Supervisor(spec, log, command=command, patience=PATIENT)

    spec = spec_of("stub", folder, max_sequences=slots)
    engine = Replicated(spec, folder / "logs" / "stub.log", supervise, bounds=bounds)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()


def ready(engine: Replicated) -> list[Supervisor]:
    """The replicas that can answer."""
    return [replica for replica in engine.replicas if replica.status.state == "ready"]


def call(text: str = "hello") -> Call:
    """One question."""
    return Call(EXPERT, {"messages": [{"role": "user", "content": text}]})


async def answered(pool: Pool, text: str = "hello") -> str:
    """What answers a question, over all attempts."""
    async with Attempts(pool, call(text)) as reply:
        return (await reply.whole()).text


async def test_replicas_answer_and_a_conversation_stays_with_one(tmp_path: Path) -> None:
    """Several conversations reach both; all of a stopped engine's processes are gone."""
    async with replicated(tmp_path, Bounds(2, 2)) as engine:
        await until(lambda: len(ready(engine)) == 2)
        assert engine.status.detail == "2 of 2 replicas are ready"
        assert engine.slots == engine.most_slots == 4
        pool = Pool({"stub": engine}, timeout_s=10.0)
        told = {text: await answered(pool, text) for text in map(str, range(12))}
        assert len(set(told.values())) == 2
        assert {text: await answered(pool, text) for text in told} == told
        pids = [replica.status.pid or 0 for replica in engine.replicas]
        await pool.aclose()
    assert engine.status.state == "stopped"
    assert not any(map(alive, pids))


async def test_a_request_whose_replica_has_died_is_answered_by_another(tmp_path: Path) -> None:
    """Before the supervisor notices; the dead one is avoided, and comes back."""
    async with replicated(tmp_path, Bounds(2, 2)) as engine:
        await until(lambda: len(ready(engine)) == 2)
        pool = Pool({"stub": engine}, timeout_s=10.0)
        seat = engine.seat("sql", call().body)
        os.kill(seat.status.pid or 0, signal.SIGKILL)
        assert await answered(pool) != f"I am {seat.status.pid}"
        assert engine.status.state == "ready"
        await until(lambda: seat.incarnation == 2 and len(ready(engine)) == 2)
        assert await answered(pool) == f"I am {seat.status.pid}", "it is itself again"
        await pool.aclose()


async def test_it_grows_with_its_queue_and_shrinks_when_idle(tmp_path: Path) -> None:
    """Those that wait are answered by the new replica, though none of the first answers ends."""
    (tmp_path / "frozen").touch()
    async with replicated(tmp_path, Bounds(1, 2, idle_s=0.5), slots=4) as engine:
        await until(lambda: ready(engine))
        pool = Pool({"stub": engine}, timeout_s=120.0)
        asking = [asyncio.create_task(answered(pool, str(n))) for n in range(8)]
        await until(lambda: engine.in_flight == 8)
        assert len(engine.replicas) == 2
        (tmp_path / "frozen").unlink()
        assert len(set(await asyncio.gather(*asking))) == 2
        await until(lambda: len(engine.replicas) == 1 and len(ready(engine)) == 1)
        assert engine.slots == 4
        await pool.aclose()


async def test_without_a_replica_it_says_what_is_the_matter(tmp_path: Path) -> None:
    """In the words of one that starts, or has failed."""
    (tmp_path / "never").touch()
    async with replicated(tmp_path, Bounds(2, 2)) as engine:
        with pytest.raises(ExpertUnavailable, match="'stub' is starting"):
            engine.seat("sql")
        (tmp_path / "never").unlink()
        await until(lambda: len(ready(engine)) == 2)
        (tmp_path / "crash").touch()
        for replica in engine.replicas:
            os.kill(replica.status.pid or 0, signal.SIGKILL)
        await until(lambda: engine.status.state == "failed")
        assert (await engine.wait_settled()).state == "failed"
