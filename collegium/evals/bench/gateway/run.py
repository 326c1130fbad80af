"""The core of `collegium bench gateway`.

An upstream that answers at once, wrk on loopback, and every gateway with one process between them.
All take turns in each round, so that a busy minute hits all of them.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from tqdm import tqdm

from collegium.errors import SetupError
from collegium.evals.bench import pool as bench_pool
from collegium.evals.bench.gateway import ours, peers, servers
from collegium.evals.bench.gateway.load import PACE_MS, Load, script, wrk
from collegium.evals.bench.gateway.process import Gateway, memory_mib, processor_s
from collegium.evals.core.provenance import Provenance, provenance

UPSTREAM = "upstream"
MODES = ("whole", "stream")
WARM_UP_S = 2.0
Start = Callable[[Path, str], AbstractContextManager[Gateway]]


@dataclass(frozen=True)
class Spread:
    """A median of the rounds, with the lowest and the highest."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Speed:
    """One gateway in one mode. Overhead is its latency less that of the upstream without it."""

    per_second: Spread
    """Finished requests, 16 connections asking as fast as they are answered."""
    busy_p50_ms: Spread
    busy_p99_ms: Spread
    """Overhead in these runs: mostly waiting for 15 others."""
    paced_p50_ms: Spread
    paced_p99_ms: Spread
    """Overhead while the 16 connections pause for 160 ms on average between requests."""
    processor_ms: float
    """Of the gateway's process, a request."""
    memory_mib: float
    requests: int
    failed: int
    decisions: Mapping[str, int] = field(default_factory=dict)
    """By policy; only ours decides."""


@dataclass(frozen=True)
class GatewayBench:
    """All gateways in both modes, and who is missing why."""

    modes: Mapping[str, Mapping[str, Speed]]
    left_out: Mapping[str, str]
    provenance: Provenance


def bench_gateway(
    *,
    encoders: Sequence[str],
    with_peers: bool,
    rounds: int,
    seconds: float,
    seed: int,
    cache: Path,
    command: str,
    beside: Path | None = None,
    options: Sequence[ours.Option] = (),
    progress: bool = True,
) -> GatewayBench:
    """Start everything, load everything in turns, end everything.

    `beside` is another checkout of this project, which is measured as well, and so is the service
    with `options`.
    """
    key = f"sk-{secrets.token_hex(16)}"  # LiteLLM's proxy wants one, so all get it
    starts: dict[str, Start] = {
        ours.label(name, code): partial(
            ours.served, encoder=name, key=key, seed=seed, checkout=code
        )
        for name in encoders
        for code in ((None,) if beside is None else (None, beside))
    }
    for name in encoders if options else ():
        starts[ours.label(name, options=options)] = partial(
            ours.served, encoder=name, key=key, seed=seed, options=options
        )
    if with_peers:
        starts["nginx"] = servers.plain_proxy
        starts["vllm-router"] = partial(peers.vllm_router, cache=cache)
        starts["litellm"] = partial(peers.litellm, cache=cache, key=key)
    left_out: dict[str, str] = {}
    turns = len(MODES) * rounds * (len(starts) + 1) * 2
    modes: dict[str, dict[str, Speed]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="collegium-bench-") as name,
        tqdm(total=turns, unit="run", disable=not progress) as bar,
    ):
        for mode in MODES:
            run = _Run(Path(name) / mode, mode == "stream", rounds, seconds, seed, key, bar)
            modes[mode] = run.measured(starts, left_out)
    counts = {"rounds": rounds, "seconds": round(seconds)}
    return GatewayBench(modes, left_out, provenance(command, seed, counts))


@dataclass(frozen=True)
class _Run:
    """One mode: its servers run together, and are loaded one after the other."""

    folder: Path
    stream: bool
    rounds: int
    seconds: float
    seed: int
    key: str
    bar: tqdm[Any]

    def measured(self, starts: Mapping[str, Start], left_out: dict[str, str]) -> dict[str, Speed]:
        with ExitStack() as stack:
            upstream = stack.enter_context(
                servers.upstream(self.folder / UPSTREAM, stream=self.stream)
            )
            gateways = {UPSTREAM: upstream}
            for name, start in starts.items():
                try:
                    folder = self.folder / name.replace(", ", "-").replace(" ", "-")
                    gateways[name] = stack.enter_context(start(folder, upstream.url))
                    check(gateways[name], self.key, stream=self.stream)
                except SetupError as exc:
                    gateways.pop(name, None)
                    left_out[name] = str(exc)
            return self._loaded(gateways)

    def _loaded(self, gateways: Mapping[str, Gateway]) -> dict[str, Speed]:
        prompts = [e.prompt for e in bench_pool.questions("test", 20, self.seed)]
        seen: dict[str, list[tuple[Load, Load]]] = {name: [] for name in gateways}
        busy_s = dict.fromkeys(gateways, 0.0)
        for turn in range(self.rounds + 1):
            for name, gateway in gateways.items():
                if turn == 0:
                    self._load(gateway, prompts, 0, WARM_UP_S)
                    continue
                before = processor_s(gateway.pid)
                busy = self._load(gateway, prompts, turn, self.seconds)
                busy_s[name] += (processor_s(gateway.pid) - before) / max(1, busy.requests)
                paced = self._load(gateway, prompts, turn, self.seconds, pace_ms=PACE_MS)
                seen[name].append((busy, paced))
                self.bar.update(2)
        return {
            name: speed(
                seen[name],
                seen[UPSTREAM],
                processor_ms=1000 * busy_s[name] / self.rounds,
                memory=memory_mib(gateway.pid),
                decisions=ours.decisions(gateway, self.key) if gateway.model == "auto" else {},
            )
            for name, gateway in gateways.items()
        }

    def _load(
        self,
        gateway: Gateway,
        prompts: Sequence[str],
        turn: int,
        seconds: float,
        pace_ms: int = 0,
    ) -> Load:
        lua = self.folder / "load.lua"
        seed = 1000 * self.seed + 2 * turn + (pace_ms > 0)
        text = script(
            prompts,
            model=gateway.model,
            stream=self.stream,
            key=gateway.key or self.key,
            pace_ms=pace_ms,
            seed=seed,
        )
        lua.write_text(text)
        return wrk(f"{gateway.url}/chat/completions", lua, seconds)


def speed(
    found: Sequence[tuple[Load, Load]],
    direct: Sequence[tuple[Load, Load]],
    *,
    processor_ms: float,
    memory: float,
    decisions: Mapping[str, int],
) -> Speed:
    """Summarise rounds of (busy, paced) loads; overheads are within each round."""
    pairs = [
        (load, base)
        for loads, bases in zip(found, direct, strict=True)
        for load, base in zip(loads, bases, strict=True)
    ]
    busy, paced = pairs[::2], pairs[1::2]
    return Speed(
        spread([load.per_second for load, _ in busy]),
        spread([load.p50_ms - base.p50_ms for load, base in busy]),
        spread([load.p99_ms - base.p99_ms for load, base in busy]),
        spread([load.p50_ms - base.p50_ms for load, base in paced]),
        spread([load.p99_ms - base.p99_ms for load, base in paced]),
        processor_ms,
        memory,
        sum(load.requests for load, _ in pairs),
        sum(load.failed for load, _ in pairs),
        decisions,
    )


def spread(values: Sequence[float]) -> Spread:
    """The median with the extremes."""
    return Spread(median(values), min(values), max(values))


def check(gateway: Gateway, key: str, *, stream: bool) -> None:
    """Ask once and read the answer, so that no error page is timed; SetupError says what came."""
    body = {"model": gateway.model, "stream": stream, "max_tokens": 64}
    body["messages"] = [{"role": "user", "content": "Write 4 July 1998 as YYYY-MM-DD."}]
    url = f"{gateway.url}/chat/completions"
    headers = {"Authorization": f"Bearer {gateway.key or key}"}
    answer = httpx.post(url, json=body, headers=headers, timeout=60, trust_env=False)
    words = answer.text.count("word")
    if answer.status_code != 200 or words < len(servers.WORDS):
        raise SetupError(f"{gateway.name} answers {answer.status_code}: {answer.text[:300]}")
