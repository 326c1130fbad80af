"""Collegium as measured by `collegium bench gateway`: a real router and 20 upstream experts."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

import httpx

from collegium.evals.bench import pool as bench_pool
from collegium.evals.bench.gateway.process import HOST, Gateway, running
from collegium.experts.vllm import free_port
from collegium.registry.budgets.limits import NANO, BudgetRegistry, Limit
from collegium.registry.expert import Expert
from collegium.registry.experts import ExpertRegistry
from collegium.registry.keys import KeyRegistry
from collegium.registry.storage.database import Database
from collegium.router.artifact import save
from collegium.router.encoder import make_encoder
from collegium.router.forecasting import fingerprint
from collegium.router.vectors import Encoder

Option = Literal["key", "budget", "telemetry"]
CALLER = "bench"
AMPLE_USD = 1_000_000


@contextmanager
def served(
    folder: Path,
    target: str,
    *,
    encoder: str,
    key: str,
    seed: int,
    checkout: Path | None = None,
    options: Collection[Option] = (),
    workers: int = 1,
) -> Iterator[Gateway]:
    """`collegium serve`, SQLite on disk and everything recorded, as by default.

    The code of `checkout` is served, where one is given, else this one. `options`: a key of the
    registry asks, a budget of it is counted, traces and metrics go to the upstream as a collector.
    """
    folder.mkdir(parents=True)
    pool = [replace(e, base_url=target) for e in bench_pool.experts(bench_pool.EXPERTS)]
    _save_router(folder / "router", make_encoder(encoder), pool, seed)
    callers_key = asyncio.run(_register(folder, pool, options))
    port = free_port(HOST)
    environment = {
        "COLLEGIUM_DATA_DIR": str(folder),
        "COLLEGIUM_ROUTER_DIR": str(folder / "router"),
        "COLLEGIUM_ENCODER": encoder,
        "COLLEGIUM_API_KEY": key,
    }
    if workers > 1:  # earlier versions do not know the setting
        environment["COLLEGIUM_WORKERS"] = str(workers)
    if checkout is not None:
        environment["PYTHONPATH"] = str(checkout)
    if "telemetry" in options:
        environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = target.removesuffix("/v1")
    command = [sys.executable, "-m", "collegium", "serve", "--no-embedded", "--port", str(port)]
    name = label(encoder, checkout, options, workers)
    with running(name, command, folder, port, "/readyz", environment) as pid:
        yield Gateway(name, f"http://{HOST}:{port}/v1", "auto", pid, callers_key)


def label(
    encoder: str,
    checkout: Path | None = None,
    options: Collection[Option] = (),
    workers: int = 1,
) -> str:
    """The name of our service in a report."""
    code = "collegium" if checkout is None else checkout.name
    several = [f"{workers} workers"] if workers > 1 else []
    return ", ".join([code, encoder, *several, *(f"with {option}" for option in options)])


def _save_router(folder: Path, encoder: Encoder, pool: list[Expert], seed: int) -> None:
    fitted = bench_pool.fitted(encoder, len(pool), seed, numbered=True)
    save(replace(fitted, fingerprints=tuple(map(fingerprint, pool))), folder)


async def _register(folder: Path, pool: list[Expert], options: Collection[Option]) -> str | None:
    """Register what the service needs; return the secret of the key that asks, if there is one."""
    database = Database(f"sqlite:///{folder / 'collegium.sqlite3'}")
    try:
        await database.migrate()
        registry = ExpertRegistry(database)
        for expert in pool:
            await registry.register(expert)
        if "budget" in options:
            limit = Limit("key", CALLER, "usd", "day", AMPLE_USD * NANO)
            await BudgetRegistry(database).put([limit])
        if not {"key", "budget"} & set(options):
            return None
        _, secret = await KeyRegistry(database).create(CALLER)
        return secret.text
    finally:
        await database.close()


def decisions(gateway: Gateway, key: str) -> dict[str, int]:
    """How many decisions the service has counted, by policy."""
    headers = {"Authorization": f"Bearer {key}"}
    url = gateway.url.removesuffix("/v1") + "/metrics"
    text = httpx.get(url, headers=headers, trust_env=False).raise_for_status().text
    found: dict[str, int] = {}
    for line in text.splitlines():
        if line.startswith("collegium_decisions_total{"):
            policy = line.split('policy="')[1].split('"')[0]
            found[policy] = found.get(policy, 0) + round(float(line.rsplit(" ", 1)[1]))
    return found
