"""A router that is written to `router_dir` decides from then on, without a restart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from collegium.router.applications.signals import Signals
from collegium.router.artifact import ARRAYS, CARD, save
from collegium.router.encoder import make_encoder
from collegium.router.forecasting import fingerprint
from collegium.router.training import fit_router
from tests.router.synthetic import measured
from tests.web.conftest import Serve, Web, until
from tests.web.fakes import POOL

SYSTEM = "You answer questions of customers about their bills, briefly and politely."


def train(folder: Path, best: str) -> None:
    """Write a router of marks by which one expert is always right, and the others never."""
    outcomes = measured(POOL, each=20)
    scores = np.zeros_like(outcomes.scores)
    scores[:, [e.name for e in POOL].index(best)] = 1.0
    outcomes = replace(
        outcomes,
        fingerprints=[fingerprint(e) for e in POOL],
        scores=scores,
        signals=[Signals(system=SYSTEM)] * len(scores),
    )
    save(fit_router(outcomes, make_encoder("static")), folder)


async def answers(web: Web) -> str:
    """Who answers a question of the application that was marked."""
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "sql 1"}]
    decided = await web.http.post("/v1/route", json={"model": "auto", "messages": messages})
    expert: str = decided.json()["expert"]
    return expert


async def test_another_router_decides_once_it_is_written(
    serve: Serve, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """One that is damaged changes nothing; the applications of its marks are known."""
    folder = tmp_path_factory.mktemp("router")
    train(folder, "sql")
    async with serve(ready=False, router_dir=folder, encoder="static") as web:
        await web.parts.router.wait()
        first = web.parts.router.get()
        assert await answers(web) == "sql"
        marked = first.fitted.applications[0].key
        assert marked in {a.key for a in web.parts.recognition.applications.known()}
        train(folder, "lists")
        await until(lambda: web.parts.router.get() is not first)
        assert await answers(web) == "lists"
        (folder / ARRAYS).write_bytes(b"damaged")
        (folder / CARD).touch()
        second = web.parts.router.get()
        train(folder, "general")
        await until(lambda: web.parts.router.get() is not second)
        assert await answers(web) == "general"
