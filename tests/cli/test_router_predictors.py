"""`collegium router train --predictor`: every predictor that can be saved, and a word on others."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from collegium.cli.router_command import command
from collegium.errors import SetupError
from collegium.router.artifact import load
from collegium.router.predictors import PREDICTORS, predictor_class
from tests.evals.training.test_learning import write_set

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "outcomes"
SAVEABLE = [name for name in PREDICTORS if predictor_class(name).saveable]
OTHERS = [name for name in PREDICTORS if name not in SAVEABLE]


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders of its own, and the encoder that needs no second to load."""
    monkeypatch.setenv("COLLEGIUM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("COLLEGIUM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("COLLEGIUM_ENCODER", "static")


def train(folder: Path, out: Path, *more: str) -> str:
    """What the command said on standard error."""
    arguments = ["train", str(folder), "--out", str(out), *more]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stderr


@pytest.mark.parametrize("name", SAVEABLE)
def test_a_predictor_is_fitted_saved_and_read_again(name: str, tmp_path: Path) -> None:
    """It alone forecasts by the text."""
    train(write_set(tmp_path / "set", each=100), tmp_path / "router", "--predictor", name)
    (base,) = load(tmp_path / "router").beliefs.bases_
    assert type(base) is predictor_class(name)


def test_the_example_is_too_small_for_a_predictor(tmp_path: Path) -> None:
    """The router is written with the rates of applications alone, and that is told."""
    told = train(EXAMPLE, tmp_path / "router", "--predictor", "knn")
    assert "too few marked prompts" in told
    assert load(tmp_path / "router").beliefs.bases_ == []
    assert "too few" not in train(EXAMPLE, tmp_path / "other")


@pytest.mark.parametrize("name", OTHERS)
def test_a_predictor_that_can_not_be_saved_is_refused_first(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is read: the set does not exist. So it is with the setting."""
    with pytest.raises(SetupError, match=r"can't be saved.*fit one of Clusters"):
        train(tmp_path / "nowhere", tmp_path / "router", "--predictor", name)
    monkeypatch.setenv("COLLEGIUM_PREDICTOR", name)
    with pytest.raises(SetupError, match="can't be saved"):
        train(tmp_path / "nowhere", tmp_path / "router")


def test_an_unknown_predictor_is_refused_first(tmp_path: Path) -> None:
    """With the names that there are."""
    with pytest.raises(SetupError, match="unknown predictor 'magic'; available: knn, "):
        train(tmp_path / "nowhere", tmp_path / "router", "--predictor", "magic")
