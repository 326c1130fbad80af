"""`eval online`: the simulation's own arithmetic, and what it finds on a made world."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from collegium.cli import cli
from collegium.evals.core.arrays import Floats
from collegium.evals.routing import encoders
from collegium.evals.routing.recorded import record
from collegium.evals.studies.online.poison import LIES, Movement, poison
from collegium.evals.studies.online.report import summed_up, tables, verdict
from collegium.evals.studies.online.study import (
    Promise,
    Simulation,
    greedy_rewards,
    run,
    simulate,
    worst_window,
)
from collegium.evals.studies.online.world import DEARER, DEGRADED, World, world
from collegium.router.online.bandit import Bandit, BanditSettings
from collegium.router.predictors import predictor
from tests.evals.routing.worlds import SkillEncoder, save
from tests.evals.routing.worlds import world as routing_world
from tests.evals.studies.newcomers.test_newcomers import recorded

SETTINGS = BanditSettings()
STEPS = 3000


@pytest.fixture(scope="module")
def made() -> World:
    """Six experts of three skills."""
    made = record(*recorded(), partial(predictor, "linear"))
    return world(made, steps=STEPS, seed=0)


@pytest.fixture(scope="module")
def found(made: World) -> Simulation:
    """One simulation in it."""
    return simulate(made, SETTINGS, seed=0)


@pytest.fixture(scope="module")
def moved(made: World) -> tuple[Movement, ...]:
    """What lies do in it."""
    return poison(made, SETTINGS, seed=0)


def test_the_victim_is_the_expert_that_is_asked_most(made: World) -> None:
    """By the static router, over all prompts of the world."""
    stale = made.forecasts - made.costs.mean(axis=0)
    shares = np.bincount(stale.argmax(axis=1), minlength=6)
    assert shares[made.victim] == shares.max()


def test_things_change_as_the_phases_say(made: World) -> None:
    """Only the victim, first its quality and then its price."""
    for step in (0, STEPS // 3, 2 * STEPS // 3):
        row = made.stream[step]
        quality = made.scores[row] - made.quality(step)
        burden = made.burden(step) - made.costs[row]
        others = np.arange(6) != made.victim
        assert not quality[others].any()
        assert not burden[others].any()
        degraded = DEGRADED * made.scores[row, made.victim] * (made.phase(step) == 1)
        assert quality[made.victim] == pytest.approx(degraded)
        assert burden[made.victim] == pytest.approx(DEARER * (made.phase(step) == 2))


def test_the_same_seed_is_the_same_run(made: World) -> None:
    """And another seed is another."""

    def seen(seed: int) -> Floats:
        bandit = Bandit(made.projection, 6, SETTINGS)
        return run(made, bandit, range(200), seed=seed).seen

    np.testing.assert_array_equal(seen(1), seen(1))
    assert (seen(1) != seen(2)).any()


@pytest.mark.parametrize("losses", [[], [-1.0, -2.0], [1.0, -3.0, 2.0, -0.5, 1.0, -9.0]])
def test_the_worst_window_is_the_largest_sum(losses: list[float]) -> None:
    """Against all windows, tried one by one."""
    n = len(losses)
    sums = [sum(losses[i:j]) for i in range(n) for j in range(i, n + 1)]
    assert worst_window(np.array(losses)) == max([0.0, *sums])


def test_the_bandit_beats_the_static_router_where_things_change(
    made: World, found: Simulation
) -> None:
    """Where the most asked expert degrades; the router that is told loses nothing."""
    report = summed_up(made, [found], ())
    assert report.regret["static"][1] > 100
    assert report.regret["bandit"][1] < 0.85 * report.regret["static"][1]
    assert report.regret["told"] == [0.0, 0.0, 0.0]
    assert report.promises_kept
    assert abs(sum(report.regret["static"]) - found.regret("static")[-1]) < 1e-9


def test_off_policy_intervals_hold_the_truth(made: World, found: Simulation) -> None:
    """Of the policy that the bandit had learnt, from its own log, by all three estimates."""
    learnt = next(each for each in found.candidates if each.name == "learnt before")
    truth = greedy_rewards(made, made.stale, range(STEPS)).mean()
    assert 0 < truth < 1
    for estimate in learnt.estimates.values():
        assert estimate.low - 0.03 <= learnt.truth <= estimate.high + 0.03


def test_false_ratings_move_no_share_by_more_than_five_points(
    moved: tuple[Movement, ...],
) -> None:
    """Whatever the lie; without our bounds one of them does."""
    assert {each.lie for each in moved} == set(LIES)
    assert max(each.defended for each in moved) <= 5.0
    assert max(each.undefended for each in moved) > 5.0


# --- the command ---


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Return the command with one set and an encoder that needs no weights."""
    save(routing_world(60), tmp_path / "data" / "first")
    monkeypatch.setitem(encoders.ENCODERS, "skills", SkillEncoder)
    monkeypatch.setenv("COLLEGIUM_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("COLLEGIUM_CACHE_DIR", str(tmp_path / "cache"))

    def call(*arguments: str) -> Result:
        options = ["--encoder", "skills", "--steps", "90", "--repeats", "1"]
        words = ["eval", "online", *arguments, *options]
        return CliRunner().invoke(cli, words, catch_exceptions=False)

    return call


def test_json_is_the_same_for_the_same_seed(command: Callable[..., Result]) -> None:
    """All of it, to the last digit."""
    first, second = (command("first", "--json", "--seed", "3").stdout for _ in range(2))
    assert json.loads(first)["sets"][0]["steps"] == 90
    assert first == second


def test_the_page_has_the_curves_and_the_tables(
    command: Callable[..., Result], tmp_path: Path
) -> None:
    """Self-contained: a drawing, and no address to fetch from."""
    page = tmp_path / "online.html"
    shown = command("first", "--html", str(page)).stdout
    text = page.read_text()
    assert "<svg" in text
    assert "http" not in text.replace("http://www.w3.org", "")
    for title in ("Regret", "Conservative exploration", "Off-policy estimates", "False ratings"):
        assert title in text
        assert title in shown


def test_the_verdict_says_when_a_promise_is_broken(
    made: World, found: Simulation, moved: tuple[Movement, ...]
) -> None:
    """In capitals, and the table says in which simulation."""
    broken = replace(found, promise=Promise(0.02, purse=10.0, worst=11.5))
    report = summed_up(made, [found, broken], moved)
    assert "BROKE ITS PROMISE" in verdict(report)
    assert [row[-1] for row in tables(report)["Conservative exploration"]] == ["kept", "yes", "NO"]
    assert "kept its promise" in verdict(summed_up(made, [found], moved))
