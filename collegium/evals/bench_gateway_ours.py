"""Collegium as `collegium bench gateway` loads it: a real router and 20 experts upstream."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx

from collegium.evals import bench_pool
from collegium.evals.bench_gateway_process import HOST, Gateway, running
from collegium.experts.vllm import free_port
from collegium.registry.database import Database
from collegium.registry.expert import Expert
from collegium.registry.experts import ExpertRegistry
from collegium.router.artifact import save
from collegium.router.encoder import make_encoder
from collegium.router.forecasting import fingerprint
from collegium.router.vectors import Encoder


@contextmanager
def served(
    folder: Path,
    target: str,
    *,
    encoder: str,
    key: str,
    seed: int,
    checkout: Path | None = None,
) -> Iterator[Gateway]:
    """`collegium serve` with one process, SQLite on disk and everything recorded, as by default.

    The code of `checkout` is served, where one is given, else this one.
    """
    folder.mkdir(parents=True)
    pool = [replace(e, base_url=target) for e in bench_pool.experts(bench_pool.EXPERTS)]
    _save_router(folder / "router", make_encoder(encoder), pool, seed)
    asyncio.run(_register(folder, pool))
    port = free_port(HOST)
    environment = {
        "COLLEGIUM_DATA_DIR": str(folder),
        "COLLEGIUM_ROUTER_DIR": str(folder / "router"),
        "COLLEGIUM_ENCODER": encoder,
        "COLLEGIUM_API_KEY": key,
    }
    if checkout is not None:
        environment["PYTHONPATH"] = str(checkout)
    command = [sys.executable, "-m", "collegium", "serve", "--no-embedded", "--port", str(port)]
    name = label(encoder, checkout)
    with running(name, command, folder, port, "/readyz", environment) as pid:
        yield Gateway(name, f"http://{HOST}:{port}/v1", "auto", pid)


def label(encoder: str, checkout: Path | None = None) -> str:
    """The name of our service in a report."""
    return f"collegium, {encoder}" if checkout is None else f"{checkout.name}, {encoder}"


def _save_router(folder: Path, encoder: Encoder, pool: list[Expert], seed: int) -> None:
    fitted = bench_pool.fitted(encoder, len(pool), seed)
    save(replace(fitted, fingerprints=tuple(map(fingerprint, pool))), folder)


async def _register(folder: Path, pool: list[Expert]) -> None:
    database = Database(f"sqlite:///{folder / 'collegium.sqlite3'}")
    try:
        await database.migrate()
        registry = ExpertRegistry(database)
        for expert in pool:
            await registry.register(expert)
    finally:
        await database.close()


def decisions(gateway: Gateway) -> dict[str, int]:
    """How many decisions the service has counted, by policy."""
    text = httpx.get(gateway.url.removesuffix("/v1") + "/metrics", trust_env=False).text
    found: dict[str, int] = {}
    for line in text.splitlines():
        if line.startswith("collegium_decisions_total{"):
            policy = line.split('policy="')[1].split('"')[0]
            found[policy] = found.get(policy, 0) + round(float(line.rsplit(" ", 1)[1]))
    return found
