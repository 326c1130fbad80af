"""A live pool's panels are measured against equal tokens, and `auto` acts on what was measured."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from collegium.evals.tasks import TASKS
from collegium.registry.expert import AGGREGATION
from collegium.router.artifact import bundled
from collegium.router.panels.profiles import BOUNDS, Profile, Profiles
from tests.running_service import RunningService
from tests.service.panel_server import SCHOLARS
from tests.service.panels import panel_service

pytestmark = pytest.mark.slow
QUESTION = [{"role": "user", "content": "Convert 42 metres to metres. Number only."}]
PAYS = Profile("vote", 3, gain=0.08, gain_low=0.05, cost=1.4, queries=200)


@pytest.fixture(scope="module")
def scholars(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """One expert that is always right and one that never is, with a cache of its own."""
    cache = str(tmp_path_factory.mktemp("cache"))
    folder = tmp_path_factory.mktemp("scholars")
    with panel_service(folder, SCHOLARS, COLLEGIUM_CACHE_DIR=cache) as service:
        for name, (_, level, _) in SCHOLARS.items():
            skills = {"skills": dict.fromkeys(TASKS, level)}
            patched = httpx.patch(f"{service.url}/v1/experts/{name}", json=skills, timeout=60)
            assert patched.status_code == 200, patched.text
        yield service


def evaluated(service: RunningService, *options: str) -> Any:
    """What the command prints as JSON."""
    done = service.cli("eval", "pool", "--per-task", "7", "--no-chat", "--json", *options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["panels"]


def test_modes_are_measured_against_the_same_tokens(
    scholars: RunningService, tmp_path: Path
) -> None:
    """Each mode beside single routing and samples; asked again, nothing is asked any more."""
    page = tmp_path / "pool.html"
    modes = ("--aggregate", "vote", "--aggregate", "moa", "--aggregate", "auto")
    study = evaluated(scholars, *modes, "--html", str(page))
    rows = {row["name"]: row for row in study["rows"]}
    assert (study["prompts"], study["best_expert"]) == (35, "scholar")
    assert rows["scholar"]["accuracy"]["estimate"] == 1.0
    assert rows["moa"]["tokens"] > 2 * rows["single"]["tokens"]
    assert rows["vote"]["tokens"] > rows["single"]["tokens"]
    assert rows["scholar, vote of 6 samples"]["tokens"] == pytest.approx(
        6 * rows["scholar"]["tokens"]
    )
    assert rows["parrot"]["over_best"]["estimate"] == -1.0
    assert rows["auto"]["tokens"] == rows["single"]["tokens"]
    assert study["auto_over_hull"]["estimate"] == 0.0
    assert "for the same tokens" in page.read_text()
    asked = statistics(scholars)
    assert evaluated(scholars, *modes) == study
    assert statistics(scholars) == asked


def statistics(service: RunningService) -> list[str]:
    """How many calls the service has counted, by expert."""
    text = httpx.get(f"{service.url}/metrics", timeout=30).text
    return [line for line in text.splitlines() if line.startswith("collegium_tokens_total")]


def test_a_profile_is_measured_on_validation_questions(
    scholars: RunningService, tmp_path: Path
) -> None:
    """It is the file that the service reads; a vote with the parrot gains nothing anywhere."""
    evaluated(scholars, "--aggregate", "vote", "--profile", str(tmp_path))
    found = Profiles.load(tmp_path)
    assert "35 validation questions" in found.made_by
    measured = [profile for each in found.ranges for profile in each]
    assert measured
    assert all(profile.gain_low <= 0 for profile in measured)
    refused = scholars.cli("eval", "pool", "--profile", str(tmp_path))
    assert "--aggregate" in refused.stderr


def test_the_aggregator_is_who_was_measured_to_combine_best(scholars: RunningService) -> None:
    """Before that it is the generalist; the answer is then the aggregator's."""
    body = {"model": "collegium/moa", "messages": QUESTION}
    with httpx.Client(base_url=scholars.url, timeout=60) as http:
        assert http.post("/v1/route", json=body).json()["panel"]["aggregator"] == "parrot"
        for name in SCHOLARS:
            words = ("--kind", AGGREGATION, "--questions", "6", "--yes", "--json")
            done = scholars.cli("expert", "profile", name, *words)
            assert done.returncode == 0, done.stderr
        assert http.post("/v1/route", json=body).json()["panel"]["aggregator"] == "scholar"
        answer = http.post("/v1/chat/completions", json=body).json()
    assert answer["model"] == "scholar"
    roles = {call["role"]: call["expert"] for call in answer["collegium"]["panel"]["calls"]}
    assert roles["aggregator"] == "scholar"


@pytest.fixture(scope="module")
def profiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A service whose router has a profile: a vote pays, whatever the forecast."""
    router = tmp_path_factory.mktemp("router") / "weights"
    shutil.copytree(bundled("minilm"), router)
    Profiles(((PAYS,),) * (len(BOUNDS) + 1), made_by="the test").save(router)
    folder = tmp_path_factory.mktemp("profiled")
    with (
        panel_service(folder, COLLEGIUM_ROUTER_DIR=str(router)) as service,
        httpx.Client(base_url=service.url, timeout=60) as client,
    ):
        yield client


def asked(http: httpx.Client, tradeoff: float) -> Any:
    """The answer of `auto` at this trade-off."""
    routing = {
        "aggregate": "auto",
        "tradeoff": tradeoff,
        "experts_allow": ["right", "also", "wrong"],
    }
    body = {"model": "auto", "messages": QUESTION, "routing": routing}
    answer = http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["collegium"]


def test_auto_asks_the_panel_that_was_measured_to_pay(profiled: httpx.Client) -> None:
    """The reason tells gain and cost; the panel's calls are all there."""
    told = asked(profiled, tradeoff=0)
    assert told["decision"]["expert"] == "collegium/vote"
    assert "measured gain +8.0% for 1.4 times the cost" in told["decision"]["reason"]
    assert len(told["panel"]["calls"]) == 3


def test_auto_stays_with_one_expert_where_the_gain_is_not_worth_its_cost(
    profiled: httpx.Client,
) -> None:
    """At a trade-off of 9 five points are too few for 1.4 times the cost."""
    told = asked(profiled, tradeoff=9)
    assert "panel" not in told
    assert "no gain is expected of a panel here" in told["decision"]["reason"]
