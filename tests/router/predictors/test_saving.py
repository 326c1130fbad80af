"""Saved predictors: read back as they were; anything foreign, damaged or incomplete is refused."""

from __future__ import annotations

import hashlib
import json
import pickle
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load as read_arrays
from safetensors.numpy import save as to_bytes

from collegium.errors import ArtifactRejected, SetupError
from collegium.router.predictors import PREDICTORS, predictor
from collegium.router.predictors.saving import ARRAYS, CARD, load, read_card, save
from tests.router.predictors.worlds import specialists

SAVEABLE = sorted(set(PREDICTORS) - {"boosting"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A saved stack."""
    data = specialists(200, seed=0)
    stack = predictor("stack").fit(data.X, data.y, labels=data.labels)
    save(stack, tmp_path, data_sha256="ab" * 32, metrics={"brier": 0.12})
    return tmp_path


def rewrite(folder: Path, change: Any) -> None:
    """Change the card and make its hash right again, as a forger would."""
    card = json.loads((folder / CARD).read_text())
    change(card)
    tree = json.dumps(card["tree"], sort_keys=True).encode()
    card["tree_sha256"] = hashlib.sha256(tree).hexdigest()
    (folder / CARD).write_text(json.dumps(card))


@pytest.mark.parametrize("name", SAVEABLE)
def test_what_is_read_forecasts_as_what_was_saved(name: str, tmp_path: Path) -> None:
    """To the last bit, holes in the data or not, with the same parameters."""
    data = specialists(150, seed=1, missing=0.2)
    made = predictor(name).fit(data.X, data.y, labels=data.labels)
    save(made, tmp_path)
    read = load(tmp_path)
    np.testing.assert_array_equal(read.predict(data.X), made.predict(data.X))
    assert repr(read) == repr(made)


def test_the_card_says_what_it_is(folder: Path) -> None:
    """Class, data, metrics and versions, for people and machines."""
    card = read_card(folder)
    assert (card["format"], card["class"]) == ("collegium-predictor-1", "Stack")
    assert (card["data_sha256"], card["metrics"]) == ("ab" * 32, {"brier": 0.12})
    assert {"collegium", "numpy", "python", "scikit-learn"} <= set(card["versions"])


def test_it_is_read_in_under_a_second(folder: Path) -> None:
    """Even where everything else is busy: by the processor's time."""
    start = time.process_time()
    load(folder)
    assert time.process_time() - start < 1.0


def test_boosting_says_that_it_cannot_be_saved(tmp_path: Path) -> None:
    """And what can be instead; nothing is written."""
    data = specialists(60, seed=2)
    with pytest.raises(SetupError, match=r"Boosting can't be saved.*Stack"):
        save(predictor("boosting").fit(data.X, data.y), tmp_path)
    assert not list(tmp_path.iterdir())


def test_damaged_arrays_are_refused(folder: Path) -> None:
    """One bit is enough."""
    data = bytearray((folder / ARRAYS).read_bytes())
    data[-1] ^= 1
    (folder / ARRAYS).write_bytes(data)
    with pytest.raises(ArtifactRejected, match="damaged"):
        load(folder)


def test_a_damaged_card_is_refused(folder: Path) -> None:
    """A number changed by hand no longer matches the hash."""
    text = (folder / CARD).read_text()
    (folder / CARD).write_text(text.replace('"folds": 5', '"folds": 6', 1))
    with pytest.raises(ArtifactRejected, match="damaged"):
        load(folder)


@pytest.mark.parametrize("name", [ARRAYS, CARD])
def test_a_missing_file_is_refused(folder: Path, name: str) -> None:
    """Half a predictor is none."""
    (folder / name).unlink()
    with pytest.raises(ArtifactRejected, match="no readable predictor"):
        load(folder)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "collegium-router-1"}'])
def test_a_foreign_card_is_refused(folder: Path, text: str) -> None:
    """Whatever else calls itself a card."""
    (folder / CARD).write_text(text)
    with pytest.raises(ArtifactRejected):
        load(folder)


def test_a_pickle_is_refused(folder: Path) -> None:
    """It is never opened as one."""
    (folder / ARRAYS).write_bytes(pickle.dumps([1]))
    with pytest.raises(ArtifactRejected, match="damaged"):
        load(folder)


@pytest.mark.parametrize("name", ["HistGradientBoostingRegressor", "os.system", "Boosting"])
def test_a_class_that_is_not_ours_is_refused(folder: Path, name: str) -> None:
    """However well the hashes match."""
    rewrite(folder, lambda card: card["tree"].update(estimator=name))
    with pytest.raises(ArtifactRejected, match="is not one of"):
        load(folder)


def test_a_missing_attribute_is_refused(folder: Path) -> None:
    """The card names what is missing."""
    rewrite(folder, lambda card: card["tree"]["state"].pop("common_"))
    with pytest.raises(ArtifactRejected, match="common_"):
        load(folder)


def test_an_attribute_too_many_is_refused(folder: Path) -> None:
    """Nothing but learnt attributes can be set."""
    rewrite(folder, lambda card: card["tree"]["state"].update(predict=1))
    with pytest.raises(ArtifactRejected, match="predict"):
        load(folder)


def test_an_unknown_parameter_is_refused(folder: Path) -> None:
    """A newer or forged class is not half understood."""
    rewrite(folder, lambda card: card["tree"]["params"].update(depth=3))
    with pytest.raises(ArtifactRejected, match="incomplete"):
        load(folder)


def test_an_array_that_is_not_there_is_refused(folder: Path) -> None:
    """The hash of the rest may be right."""
    arrays = read_arrays((folder / ARRAYS).read_bytes())
    arrays.pop("a0")
    data = to_bytes(arrays)
    (folder / ARRAYS).write_bytes(data)
    rewrite(folder, lambda card: card.update(arrays_sha256=hashlib.sha256(data).hexdigest()))
    with pytest.raises(ArtifactRejected, match="incomplete"):
        load(folder)


def test_arrays_that_forecast_nothing_are_refused(folder: Path) -> None:
    """A predictor is tried on one query before it is believed."""
    arrays = {
        k: np.full_like(a, np.nan) for k, a in read_arrays((folder / ARRAYS).read_bytes()).items()
    }
    data = to_bytes(arrays)
    (folder / ARRAYS).write_bytes(data)
    rewrite(folder, lambda card: card.update(arrays_sha256=hashlib.sha256(data).hexdigest()))
    with pytest.raises(ArtifactRejected, match="not finite"):
        load(folder)
