"""Every measurement of engines that needs a GPU, in one run; on a processor as far as it goes.

One engine of the embedded model is started as the service starts it. Each step is made even if an
earlier one has failed, and its failure is in the report.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx

from collegium.errors import CollegiumError
from collegium.experts.memory import weights_gib
from collegium.experts.placement.live import Placer, placer_here
from collegium.experts.placement.nvml import driver, gpus, used_gib
from collegium.experts.process import Command, group_of
from collegium.experts.sleeping import put_to_sleep, wake
from collegium.experts.supervisor import Supervisor
from collegium.experts.vllm import EngineSpec, command
from collegium.registry.engine import Engine

NAME = "measured"
CONTEXT, SEQUENCES = 2048, 32
ANSWER = 128
"""Tokens of each answer whose speed is measured."""
PROMPT = "Tell a long story about a lighthouse."
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "strict": True,  # else vLLM 0.32 took a bare string for the arguments
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
SETTLES_S = 2.0
"""The driver frees memory a moment after the engine has answered."""


@dataclass
class Step:
    """One measurement: what it found, or why it could not be made."""

    seconds: float = 0.0
    found: dict[str, Any] = field(default_factory=dict)
    failed: str | None = None


@dataclass(frozen=True)
class Bench:
    """What is measured, and with what."""

    model: Path
    logs: Path
    python: Path
    command: Command = command
    start_timeout_s: float = 300.0


async def bench_gpu(bench: Bench, *, seconds: float = 600.0) -> dict[str, Any]:
    """The report: machine and steps, whatever had been measured when the time was over."""
    placer = placer_here(bench.python)
    steps: dict[str, Step] = {}
    report = {"machine": _machine(placer), "model": bench.model.name, "steps": steps}
    try:
        async with asyncio.timeout(seconds):
            await _measure(bench, placer, steps)
    except TimeoutError:
        steps["time"] = Step(seconds, failed=f"not all could be measured in {seconds:.0f} s")
    return report | {"steps": {name: asdict(step) for name, step in steps.items()}}


def _machine(placer: Placer | None) -> dict[str, Any]:
    return {
        "gpus": [asdict(gpu) for gpu in gpus()],
        "driver": driver(),
        "engines_run_on": "cpu" if placer is None else "gpu",
    }


async def _measure(bench: Bench, placer: Placer | None, steps: dict[str, Step]) -> None:
    level = 0 if placer is None else 1
    path = str(bench.model)
    spec = EngineSpec(
        Engine(
            name=NAME, model_path=path, context=CONTEXT, max_sequences=SEQUENCES, sleep_level=level
        ),
        python=bench.python,
    )
    if placer is not None:
        async with _step(steps, "plan") as found:
            spec = await placer.placed(spec)
            found |= asdict(spec.placement) if spec.placement is not None else {}
    engine = Supervisor(
        spec,
        bench.logs / f"{NAME}.log",
        start_timeout_s=bench.start_timeout_s,
        command=bench.command,
    )
    try:
        async with _step(steps, "start") as found:
            await engine.start()
            status = await engine.wait_settled()
            found["state"], found["detail"] = status.state, status.detail
            found["command"] = bench.command(spec, 0)[5:]
        if engine.status.state == "ready":
            await _measure_engine(engine, steps)
    finally:
        await engine.stop()


async def _measure_engine(engine: Supervisor, steps: dict[str, Step]) -> None:
    spec, url = engine.spec, engine.status.base_url
    headers = {"Authorization": f"Bearer {spec.secret}"}
    async with httpx.AsyncClient(
        base_url=url, headers=headers, timeout=120, trust_env=False
    ) as http:
        async with _step(steps, "memory") as found:
            found |= _memory(engine)
        async with _step(steps, "tool_call") as found:
            found |= await _tool_call(http)
        for at_once in (1, SEQUENCES):
            async with _step(steps, f"speed_{at_once}") as found:
                found |= await _speed(http, at_once)
        for level in (1, 2) if spec.engine.sleep_level else ():
            async with _step(steps, f"sleep_{level}") as found:
                found |= await _sleep(engine, http, level)


def _memory(engine: Supervisor) -> dict[str, Any]:
    """What the engine takes of each card, and what that leaves for the assumption in the plan."""
    spec, used = engine.spec, _used(engine)
    if spec.placement is None or used is None:
        return {"used_gib": used, "planned_gib": None, "overhead_gib": None}
    cards = len(spec.placement.cards)
    weights = weights_gib(spec.model_path, spec.dtype) / cards
    a_card = used / cards
    overhead = a_card - weights - spec.placement.kv_gib
    return {"used_gib": a_card, "planned_gib": spec.placement.gib, "overhead_gib": overhead}


def _used(engine: Supervisor) -> float | None:
    pid = engine.status.pid
    return None if pid is None else used_gib(group_of(pid))


async def _tool_call(http: httpx.AsyncClient) -> dict[str, Any]:
    """A call that has to be made: small models make none of themselves."""
    body = _chat("What is the weather in Paris?", 64) | {"tools": [TOOL], "tool_choice": "required"}
    message = (await _asked(http, body))["choices"][0]["message"]
    calls = message.get("tool_calls") or []
    name = calls[0]["function"]["name"] if calls else None
    arguments = json.loads(calls[0]["function"]["arguments"]) if calls else None
    return {"called": name, "arguments": arguments}


async def _speed(http: httpx.AsyncClient, at_once: int) -> dict[str, Any]:
    """Tokens a second of answers of one length that are asked for together."""
    body = _chat(PROMPT, ANSWER) | {"ignore_eos": True}
    began = time.monotonic()
    answers = await asyncio.gather(*(_asked(http, body) for _ in range(at_once)))
    took = time.monotonic() - began
    tokens = sum(answer["usage"]["completion_tokens"] for answer in answers)
    return {"at_once": at_once, "tokens": tokens, "seconds": took, "tokens_per_s": tokens / took}


async def _sleep(engine: Supervisor, http: httpx.AsyncClient, level: int) -> dict[str, Any]:
    """How long it takes, what is freed, and that it answers as before."""
    url, secret = engine.status.base_url, engine.spec.secret
    before = (await _asked(http, _chat(PROMPT, 16)))["choices"][0]["message"]["content"]
    awake, began = _used(engine), time.monotonic()
    await put_to_sleep(url, secret, level)
    slept_s = time.monotonic() - began
    await asyncio.sleep(SETTLES_S)
    asleep, began = _used(engine), time.monotonic()
    await wake(url, secret, level)
    woke_s = time.monotonic() - began
    after = (await _asked(http, _chat(PROMPT, 16)))["choices"][0]["message"]["content"]
    return {
        "sleep_s": slept_s,
        "wake_s": woke_s,
        "awake_gib": awake,
        "asleep_gib": asleep,
        "woken_gib": _used(engine),
        "same_answer": before == after,
    }


def _chat(text: str, tokens: int) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return {"model": NAME, "messages": messages, "max_tokens": tokens, "temperature": 0}


async def _asked(http: httpx.AsyncClient, body: dict[str, Any]) -> dict[str, Any]:
    answer = await http.post("/v1/chat/completions", json=body)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


@asynccontextmanager
async def _step(steps: dict[str, Step], name: str) -> AsyncIterator[dict[str, Any]]:
    """Time a step and keep what it finds; what fails is named, and the next one is made."""
    step = steps[name] = Step()
    began = time.monotonic()
    try:
        yield step.found
    except (CollegiumError, httpx.HTTPError, KeyError, IndexError, ValueError) as exc:
        step.failed = f"{type(exc).__name__}: {exc}"
    finally:
        step.seconds = time.monotonic() - began
