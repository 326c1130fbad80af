"""Soak test: whether memory stays constant over many requests, and whether all are answered.

The core of `collegium bench gateway --soak`.
"""

from __future__ import annotations

import secrets
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from collegium.evals.bench import pool as bench_pool
from collegium.evals.bench.gateway import ours, servers
from collegium.evals.bench.gateway.load import script, wrk
from collegium.evals.bench.gateway.process import memory_mib, open_files
from collegium.evals.bench.gateway.run import check
from collegium.evals.core.provenance import Provenance, provenance

SLICES = 20
LEAST_S = 2.0
MOST_GROWTH = 0.05
"""Of the memory after the first tenth; what is loaded late and caches that fill up are there."""


@dataclass(frozen=True)
class Moment:
    """The service after so many requests."""

    requests: int
    memory_mib: float
    open_files: int
    database_mib: float


@dataclass(frozen=True)
class Soak:
    """All moments, about `SLICES` of them."""

    moments: tuple[Moment, ...]
    failed: int
    seconds: float
    provenance: Provenance

    @property
    def growth(self) -> float:
        """Of memory since the first tenth of the requests, as a share."""
        last = self.moments[-1]
        early = next(m for m in self.moments if 10 * m.requests >= last.requests)
        return last.memory_mib / early.memory_mib - 1

    @property
    def flat(self) -> bool:
        """Whether it grew at most by `MOST_GROWTH`."""
        return self.growth <= MOST_GROWTH

    def to_dict(self) -> dict[str, Any]:
        """What JSON can hold."""
        return {**asdict(self), "growth": round(self.growth, 4), "flat": self.flat}


def soak_gateway(
    requests: int, *, encoder: str, seed: int, command: str, progress: bool = True
) -> Soak:
    """Send whole answers over 16 connections until so many requests were made."""
    key = f"sk-{secrets.token_hex(16)}"
    prompts = [e.prompt for e in bench_pool.questions("test", 20, seed)]
    moments: list[Moment] = []
    made, failed, seconds = 0, 0, 0.0
    with (
        tempfile.TemporaryDirectory(prefix="collegium-bench-") as name,
        servers.upstream(Path(name) / "upstream", stream=False) as target,
        ours.served(Path(name) / "ours", target.url, encoder=encoder, key=key, seed=seed) as found,
        tqdm(total=requests, unit="request", disable=not progress) as bar,
    ):
        check(found, key, stream=False)
        lua, length_s = Path(name) / "load.lua", LEAST_S
        while made < requests:
            lua.write_text(
                script(prompts, model="auto", stream=False, key=key, seed=seed + len(moments))
            )
            load = wrk(f"{found.url}/chat/completions", lua, length_s)
            made += load.requests
            failed += load.failed
            seconds += length_s
            moments.append(
                Moment(
                    made,
                    memory_mib(found.pid),
                    open_files(found.pid),
                    sum(f.stat().st_size for f in Path(name).rglob("*.sqlite3*")) / 2**20,
                )
            )
            bar.update(load.requests)
            length_s = max(LEAST_S, round(requests / SLICES / max(load.per_second, 1.0)))
    return Soak(tuple(moments), failed, seconds, provenance(command, seed, {"requests": requests}))
