"""The core of `collegium bench gateway`.

An upstream that answers at once, wrk on loopback, and every gateway between them. All take turns in
each round, so that a busy minute hits all of them; ratios are taken within each round.
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
from collegium.evals.bench.gateway.load import CONNECTIONS, Load, pace_ms, script, wrk
from collegium.evals.bench.gateway.process import Gateway, memory_mib, processor_s
from collegium.evals.core.provenance import Provenance, provenance

UPSTREAM, LITELLM = "upstream", "litellm"
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
class Round:
    """What one gateway did in one round, and the processor time of each part, a request."""

    busy: Load
    paced: Load
    processor_ms: float
    upstream_ms: float


@dataclass(frozen=True)
class Speed:
    """One gateway in one mode. Overhead is its latency less that of the upstream without it."""

    per_second: Spread
    """Finished requests, all connections asking as fast as they are answered."""
    busy_p50_ms: Spread
    busy_p99_ms: Spread
    """Overhead in these runs: mostly waiting for the others."""
    paced_p50_ms: Spread
    paced_p99_ms: Spread
    """Overhead while the connections together ask at most 100 times a second."""
    processor_ms: Spread
    """Of the gateway's processes, a request."""
    upstream_ms: Spread
    """Of the upstream's process, a request."""
    wrk_ms: Spread
    """Of the load generator, a request."""
    memory_mib: float
    requests: int
    failed: int
    decisions: Mapping[str, int] = field(default_factory=dict)
    """By policy; only ours decides."""
    times: Mapping[str, Spread] = field(default_factory=dict)
    """Its requests a second as a multiple of another's in the same round, by that one's name."""


@dataclass(frozen=True)
class GatewayBench:
    """All gateways, whole and streamed with each number of connections, and who is missing why."""

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
    workers: Sequence[int] = (1,),
    connections: Sequence[int] = (CONNECTIONS,),
    progress: bool = True,
) -> GatewayBench:
    """Start everything, load everything in turns, end everything.

    `beside` is another checkout of this project, which is measured as well, and so is the service
    with `options`. The service is measured with each number of `workers`.
    """
    key = f"sk-{secrets.token_hex(16)}"  # LiteLLM's proxy wants one, so all get it
    starts: dict[str, Start] = {}
    for name in encoders:
        serve = partial(ours.served, encoder=name, key=key, seed=seed)
        for count in workers:
            starts[ours.label(name, workers=count)] = partial(serve, workers=count)
        if beside is not None:
            starts[ours.label(name, beside)] = partial(serve, checkout=beside)
        if options:
            starts[ours.label(name, options=options)] = partial(serve, options=options)
    if with_peers:
        starts["nginx"] = servers.plain_proxy
        starts["vllm-router"] = partial(peers.vllm_router, cache=cache)
        starts[LITELLM] = partial(peers.litellm, cache=cache, key=key)
        starts["litellm, granian"] = partial(peers.litellm, cache=cache, key=key, granian=True)
    left_out: dict[str, str] = {}
    turns = len(MODES) * len(connections) * rounds * (len(starts) + 1) * 2
    modes: dict[str, dict[str, Speed]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="collegium-bench-") as name,
        tqdm(total=turns, unit="run", disable=not progress) as bar,
    ):
        for mode in MODES:
            run = _Run(Path(name) / mode, mode == "stream", rounds, seconds, seed, key, bar)
            for count, found in run.measured(starts, left_out, connections).items():
                modes[_named(mode, count)] = found
    counts = {"rounds": rounds, "seconds": round(seconds)}
    return GatewayBench(modes, left_out, provenance(command, seed, counts))


def _named(mode: str, connections: int) -> str:
    """`whole` or `stream`; the number of connections is named where it is not the usual one."""
    return mode if connections == CONNECTIONS else f"{mode}, {connections} connections"


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

    def measured(
        self,
        starts: Mapping[str, Start],
        left_out: dict[str, str],
        connections: Sequence[int],
    ) -> dict[int, dict[str, Speed]]:
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
            return {count: self._loaded(gateways, count) for count in connections}

    def _loaded(self, gateways: Mapping[str, Gateway], connections: int) -> dict[str, Speed]:
        prompts = [e.prompt for e in bench_pool.questions("test", 20, self.seed)]
        seen: dict[str, list[Round]] = {name: [] for name in gateways}
        before = {
            name: ours.decisions(gateway, self.key)
            for name, gateway in gateways.items()
            if gateway.model == "auto"
        }
        for turn in range(self.rounds + 1):
            for name, gateway in gateways.items():
                if turn == 0:
                    self._load(gateway, prompts, 0, WARM_UP_S, connections)
                    continue
                seen[name].append(
                    self._round(gateway, gateways[UPSTREAM], prompts, turn, connections)
                )
                self.bar.update(2)
        return {
            name: speed(
                rounds,
                seen[UPSTREAM],
                memory=memory_mib(gateways[name].pid),
                decisions=_since(before[name], ours.decisions(gateways[name], self.key))
                if name in before
                else {},
                times=_times(name, seen),
            )
            for name, rounds in seen.items()
        }

    def _round(
        self,
        gateway: Gateway,
        upstream: Gateway,
        prompts: Sequence[str],
        turn: int,
        connections: int,
    ) -> Round:
        pids = gateway.pid, upstream.pid
        before = [processor_s(pid) for pid in pids]
        busy = self._load(gateway, prompts, turn, self.seconds, connections)
        spent = [processor_s(pid) - old for pid, old in zip(pids, before, strict=True)]
        pace = pace_ms(connections)
        paced = self._load(gateway, prompts, turn, self.seconds, connections, pace=pace)
        ours_ms, upstream_ms = (1000 * each / max(1, busy.requests) for each in spent)
        return Round(busy, paced, ours_ms, upstream_ms)

    def _load(
        self,
        gateway: Gateway,
        prompts: Sequence[str],
        turn: int,
        seconds: float,
        connections: int,
        pace: int = 0,
    ) -> Load:
        lua = self.folder / "load.lua"
        seed = 1000 * self.seed + 2 * turn + (pace > 0)
        text = script(
            prompts,
            model=gateway.model,
            stream=self.stream,
            key=gateway.key or self.key,
            pace_ms=pace,
            seed=seed,
        )
        lua.write_text(text)
        return wrk(f"{gateway.url}/chat/completions", lua, seconds, connections)


def speed(
    found: Sequence[Round],
    direct: Sequence[Round],
    *,
    memory: float,
    decisions: Mapping[str, int],
    times: Mapping[str, Spread] | None = None,
) -> Speed:
    """Summarise rounds; overheads are within each round."""
    pairs = list(zip(found, direct, strict=True))
    return Speed(
        spread([r.busy.per_second for r in found]),
        spread([r.busy.p50_ms - base.busy.p50_ms for r, base in pairs]),
        spread([r.busy.p99_ms - base.busy.p99_ms for r, base in pairs]),
        spread([r.paced.p50_ms - base.paced.p50_ms for r, base in pairs]),
        spread([r.paced.p99_ms - base.paced.p99_ms for r, base in pairs]),
        spread([r.processor_ms for r in found]),
        spread([r.upstream_ms for r in found]),
        spread([r.busy.processor_ms for r in found]),
        memory,
        sum(load.requests for r in found for load in (r.busy, r.paced)),
        sum(load.failed for r in found for load in (r.busy, r.paced)),
        decisions,
        times or {},
    )


def _times(name: str, seen: Mapping[str, Sequence[Round]]) -> dict[str, Spread]:
    """How many times as fast as LiteLLM it is, and with several workers as one of them."""
    one = ", ".join(part for part in name.split(", ") if not part.endswith(" workers"))
    return {
        other: spread(
            [
                r.busy.per_second / base.busy.per_second
                for r, base in zip(seen[name], bases, strict=True)
            ]
        )
        for other, bases in seen.items()
        if other in {LITELLM, one} - {name} and all(base.busy.requests for base in bases)
    }


def _since(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    return {policy: count - before.get(policy, 0) for policy, count in after.items()}


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
