"""A version that is tried in the shadow, and one that is judged on rated decisions."""

from __future__ import annotations

import pytest

from collegium.registry.learning.router_versions import RouterVersion
from collegium.router.artifact import ARRAYS, CARD, FittedRouter, save
from collegium.router.router import Router
from tests.router.synthetic import WordEncoder
from tests.web.conftest import Web, until

VERSIONS = "/v1/router/versions"


@pytest.fixture
async def version(
    web: Web, fitted: FittedRouter, tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> str:  # fmt: skip
    """A candidate that decides as the served router does; the encoder knows words alone."""
    save(fitted, folder := tmp_path_factory.mktemp("router"))
    files = (folder / CARD).read_bytes(), (folder / ARRAYS).read_bytes()
    await web.parts.router_versions.add(RouterVersion("rtr_1", ""), *files)

    def from_files(card: bytes, arrays: bytes, name: str) -> Router:
        return Router(WordEncoder(), fitted, web.parts.speeds, version=name)

    monkeypatch.setattr(web.parts.router_maker, "from_files", from_files)
    return "rtr_1"


async def test_a_shadow_decides_beside_the_answer(web: Web, version: str) -> None:
    """What it would have chosen stands with the decision; a named expert is not routed."""
    assert (await web.http.post(f"{VERSIONS}/{version}/shadow")).json()["status"] == "shadow"
    await until(lambda: web.parts.router.shadow)
    routed, named = await web.chat("sql 1"), await web.chat("sql 1", model="lists")
    await web.parts.background.finish()
    found = []
    for answer in (routed, named):
        decision = answer.json()["collegium"]["decision"]["id"]
        logged = (await web.http.get(f"/v1/decisions/{decision}")).json()["decision"]
        found.append(logged["shadow"])
    assert (found[0]["router"], found[0]["expert"]) == (version, routed.json()["model"])
    assert found[0]["quality"] > 0.5
    assert found[1] is None


async def test_a_version_is_judged_on_rated_decisions(web: Web, version: str) -> None:
    """One that decides as the served router is rated as that; both estimators agree."""
    await web.http.post(f"{VERSIONS}/{version}/shadow")
    await until(lambda: web.parts.router.shadow)
    for number in range(40):
        answer = (await web.chat(f"sql {number % 4}")).json()
        said = {"decision_id": answer["collegium"]["decision"]["id"], "score": number % 4 / 4}
        await web.http.post("/v1/feedback", json=said)
    await web.parts.background.finish()
    found = (await web.http.post(f"{VERSIONS}/{version}/evaluate")).json()
    assert (found["rated"], found["effective"], found["same_choices"]) == (40, 40, 1)
    assert found["serving_score"] == pytest.approx(0.375)
    assert found["self_normalised"]["value"] == pytest.approx(0.375)
    assert found["doubly_robust"]["value"] == pytest.approx(0.375)
    assert found["usd_per_1k"] == pytest.approx(found["serving_usd_per_1k"])
    assert found["shadow"] == {"decisions": 40, "same_choices": 1}


async def test_too_few_ratings_judge_nothing(web: Web, version: str) -> None:
    """The error tells how many there are, and how to get more."""
    answer = await web.http.post(f"{VERSIONS}/{version}/evaluate")
    assert answer.status_code == 409
    message = answer.json()["error"]["message"]
    assert "0 rated decisions are worth 0 of rtr_1's own, and 30 are needed" in message
