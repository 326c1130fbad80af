"""`collegium router calibrate` on recorded decisions: from the registry to a router's card."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from collegium.cli.router_calibrate import calibrate
from collegium.errors import SetupError
from collegium.registry.decisions.log import DecisionLog, DecisionRecord
from collegium.registry.storage.database import Database
from collegium.router.artifact import load
from collegium.router.policy import Tolerances
from collegium.settings import load_settings

PRICES = {"small": 0.001, "large": 0.01}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry of its own."""
    monkeypatch.setenv("COLLEGIUM_DATA_DIR", str(tmp_path))
    return tmp_path


def record(count: int) -> None:
    """Decisions whose large expert is better by 0 to 0.4, evenly."""

    async def write() -> None:
        database = Database(load_settings().registry_url)
        await database.migrate()
        for i, gain in enumerate(np.linspace(0, 0.4, count)):
            await DecisionLog(database).record(decision(i, float(gain)))
        await database.close()

    asyncio.run(write())


def decision(number: int, gain: float) -> DecisionRecord:
    """One decision with both forecasts."""
    quality = {"small": 0.5, "large": 0.5 + gain}
    forecasts = [
        {"expert": name, "quality": quality[name], "cost_usd": PRICES[name]} for name in PRICES
    ]
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number)
    return DecisionRecord(
        f"dec_{number}", at, "auto", "large", "quality", 0.9, "", forecasts=forecasts
    )


def run(*arguments: str) -> Result:
    """The command; our own errors are raised."""
    return CliRunner().invoke(calibrate, arguments, catch_exceptions=False)


def test_recorded_decisions_calibrate_the_served_router(home: Path) -> None:
    """A share of 30 % takes a tolerance of 0.28 here, and the card's trade-off 5 saves half."""
    record(200)
    result = run("--target", "share=0.3", "--out", str(home / "router"), "--json")
    told = json.loads(result.stdout)
    assert told["targets"][0]["tolerance"] == pytest.approx(0.28, abs=0.02)
    assert (told["queries"], told["held_out_queries"]) == (200, 0)

    tolerances = Tolerances.of(load(home / "router").card)
    assert tolerances.at(5) == pytest.approx(0.2, abs=0.02)


def test_people_read_a_table(home: Path) -> None:
    """Each target with its tolerance, trade-off and what is expected."""
    record(200)
    lines = run("--target", "quality=0.9").output.splitlines()
    assert lines[0].split() == ["TARGET", "TOLERANCE", "TRADE-OFF", "EXPECTED", "CHANCE", "±"]
    assert lines[1].startswith("quality 0.9")


def test_a_registry_without_decisions_is_told(home: Path) -> None:
    """Nothing can be learnt from nothing."""
    with pytest.raises(SetupError, match="at least 40 queries"):
        run()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--guarantee", "0.9"], "--guarantee needs a data set"),
        (["--target", "speed=1"], "expected one of share, cost, quality"),
        (["--target", "share"], "expected NAME=NUMBER"),
        (["somewhere", "--out", "there"], "--out needs a router"),
        (["--router-dir", "there"], "calibrated on a data set"),
    ],
)
def test_wrong_options_are_told(home: Path, arguments: list[str], told: str) -> None:
    """Status 2, and what would be right."""
    record(50)
    result = run(*arguments)
    assert result.exit_code == 2
    assert told in " ".join(result.output.split())
