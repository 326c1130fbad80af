"""Health, readiness, metrics and the page; what a service says that could not start."""

from __future__ import annotations

import asyncio
import re
import threading
from pathlib import Path

import pytest

from collegium import __version__, extras
from collegium.errors import DatabaseUnavailable
from collegium.router.artifact import FittedRouter
from collegium.router.costs import Speeds
from collegium.router.router import Router
from collegium.web.app import STATIC
from collegium.web.serving import service
from collegium.web.serving.router_maker import RouterMaker
from tests.router.synthetic import WordEncoder
from tests.web.conftest import Serve, Web, on_shared

CHAT = "/v1/chat/completions"


async def test_a_process_that_lives_is_healthy(web: Web) -> None:
    """And tells whose registry it has, but not where."""
    health = (await web.http.get("/healthz")).json()
    assert (health["status"], health["service"]) == ("ok", "collegium")
    assert health["version"] == __version__
    assert re.fullmatch(r"[0-9a-f]+", health["registry"])


@on_shared
async def test_a_service_with_a_router_is_ready(shared: Web) -> None:
    """Without engines of its own it waits for nothing else."""
    ready = await shared.http.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready"})


async def test_a_service_that_loads_its_router_says_so(
    serve: Serve, fitted: FittedRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests are told when to come again; what needs no router works; then it is ready."""
    loaded = threading.Event()

    def load(maker: RouterMaker) -> Router:
        loaded.wait(20)
        return Router(WordEncoder(), fitted, Speeds(1.0))

    monkeypatch.setattr(RouterMaker, "from_folder", load)
    async with serve(ready=False) as web:
        starting = await web.http.get("/readyz")
        assert (starting.status_code, starting.json()["status"]) == (503, "starting")
        assert int(starting.headers["retry-after"]) >= 1
        refused = await web.chat("sql 1")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert refused.json()["error"]["code"] == "expert_unavailable"
        assert (await web.http.get("/healthz")).status_code == 200
        assert (await web.http.get("/v1/models")).status_code == 200
        loaded.set()
        await web.parts.router.wait()
        assert (await web.http.get("/readyz")).status_code == 200
        assert (await web.chat("sql 1")).json()["model"] == "sql"


async def failed_with(web: Web, code: str, words: str, status: int = 500) -> None:
    """The service did not start: every answer says why, health and the registry go on."""
    await web.parts.background.finish()
    failed = await web.http.get("/readyz")
    assert (failed.status_code, failed.json()["status"]) == (503, "failed")
    assert words in failed.json()["detail"]
    for stream in (False, True):
        refused = await web.chat("sql 1", stream=stream)
        assert (refused.status_code, refused.json()["error"]["code"]) == (status, code)
        assert words in refused.json()["error"]["message"]
    assert (await web.http.get("/healthz")).status_code == 200
    assert (await web.http.get("/v1/experts")).status_code == 200


async def test_a_model_that_is_not_installed_is_told(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what to install."""
    monkeypatch.setattr(extras, "find_spec", lambda _: None)
    async with serve(ready=False, encoder="minilm") as web:
        await failed_with(web, "extra_missing", "make setup", status=501)


async def test_a_damaged_router_is_told(serve: Serve, tmp_path: Path) -> None:
    """Its folder has none."""
    async with serve(ready=False, encoder="static", router_dir=tmp_path / "nothing") as web:
        await failed_with(web, "artifact_rejected", "no readable router")


async def test_metrics_are_in_prometheus_format(web: Web) -> None:
    """Decisions, answers and the time to decide, apart from the answer's."""
    await web.chat("sql 1")
    page = await web.http.get("/metrics")
    assert page.headers["content-type"].startswith("text/plain; version=0.0.4")
    metrics = await web.metrics()
    assert metrics['collegium_decisions_total{expert="sql",policy="quality"}'] == 1
    assert metrics['collegium_answers_total{expert="sql",status="ok"}'] == 1
    assert metrics['collegium_tokens_total{direction="prompt",expert="sql"}'] == 7
    assert metrics['collegium_tokens_total{direction="completion",expert="sql"}'] == 2
    assert metrics['collegium_cost_usd_total{expert="sql"}'] == pytest.approx(11e-6)
    assert metrics['collegium_routing_overhead_seconds_count{expert="sql"}'] == 1
    assert metrics['collegium_answer_seconds_count{expert="sql"}'] == 1
    assert metrics["collegium_database_detours_total"] >= 0


@on_shared
async def test_the_page_and_its_parts_are_served(shared: Web) -> None:
    """Whatever it names; nothing of other sites may run in it."""
    page = await shared.http.get("/")
    assert page.status_code == 200
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    named = re.findall(r'(?:src|href)="(/static/[^"#]+)', page.text)
    assert named
    for path in named:
        assert (await shared.http.get(path)).status_code == 200, path


@on_shared
@pytest.mark.parametrize(
    ("name", "kind"),
    [("css/tokens.css", "text/css"), ("js/app.js", "javascript"), ("mark.svg", "image/svg+xml")],
)
async def test_static_files_say_what_they_are(shared: Web, name: str, kind: str) -> None:
    """Browsers run no script of another type."""
    answer = await shared.http.get(f"/static/{name}")
    assert kind in answer.headers["content-type"]
    assert answer.content == (STATIC / name).read_bytes()


@on_shared
@pytest.mark.parametrize("path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static/"])
async def test_nothing_else_is_served(shared: Web, path: str) -> None:
    """Only what lies in the folder."""
    assert (await shared.http.get(path)).status_code == 404


@on_shared
async def test_the_api_is_described(shared: Web) -> None:
    """Every route under /v1, with the bodies that it takes."""
    described = (await shared.http.get("/openapi.json")).json()
    assert CHAT in described["paths"]
    body = described["paths"][CHAT]["post"]["requestBody"]["content"]["application/json"]
    assert body["schema"]["$ref"].endswith("/ChatRequest")


async def test_a_database_that_is_away_is_told(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """For who balances load; the process lives, and no address is told."""

    async def away() -> int:
        raise DatabaseUnavailable("can't reach the database postgresql://db.internal:5432/x")

    monkeypatch.setattr(web.parts.registry, "revision", away)
    answer = await web.http.get("/readyz")
    assert (answer.status_code, answer.json()["detail"]) == (503, "the database is away")
    assert (await web.http.get("/healthz")).status_code == 200
    refused = await web.http.get("/v1/experts")
    assert refused.status_code == 503
    assert "internal" not in refused.text


async def test_a_frozen_database_is_away(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for."""
    await web.parts.background.finish()  # what starts asks it as well
    monkeypatch.setattr(service, "DATABASE_S", 0.05)
    with monkeypatch.context() as patch:
        patch.setattr(web.parts.registry, "revision", asyncio.Event().wait)
        assert (await web.http.get("/readyz")).json()["detail"] == "the database is away"
