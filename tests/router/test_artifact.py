"""A fitted router as files: what is written is read back, and anything else is refused."""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load as read_arrays
from safetensors.numpy import save as to_bytes

from collegium.errors import ArtifactRejected
from collegium.router.artifact import ARRAYS, CARD, FittedRouter, load, save
from tests.router.synthetic import POOL, WordEncoder, fitted_router


@pytest.fixture
def folder(fitted: FittedRouter, tmp_path: Path) -> Path:
    """A saved router."""
    save(fitted, tmp_path / "router")
    return tmp_path / "router"


def test_a_saved_router_forecasts_as_it_did(fitted: FittedRouter, folder: Path) -> None:
    """Every part says the same of new queries, within the precision of the file."""
    read = load(folder)
    X = WordEncoder().encode(["sql new", "lists new", "poems new", "weather"]).astype(np.float64)

    ours, theirs = read.beliefs.forecast(X), fitted.beliefs.forecast(X)
    np.testing.assert_allclose(ours.quality, theirs.quality, atol=1e-5)
    np.testing.assert_allclose(ours.deviation, theirs.deviation, atol=1e-5)
    np.testing.assert_allclose(ours.evidence, theirs.evidence, atol=1e-4)
    np.testing.assert_allclose(
        read.skills.predict_proba(X), fitted.skills.predict_proba(X), atol=1e-5
    )
    assert read.skills.predict(X).tolist() == fitted.skills.predict(X).tolist()
    np.testing.assert_allclose(read.tokens, fitted.tokens, rtol=1e-6)
    np.testing.assert_allclose(
        read.milliseconds_per_token, fitted.milliseconds_per_token, rtol=1e-6
    )
    assert (read.encoder, read.fingerprints) == (fitted.encoder, fitted.fingerprints)
    assert read.card["left_out_phrasings"] == fitted.card["left_out_phrasings"]


def test_a_router_that_was_read_can_be_written_again(folder: Path, tmp_path: Path) -> None:
    """Byte for byte."""
    save(load(folder), tmp_path / "again")
    for name in (ARRAYS, CARD):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_an_earlier_router_is_written_over(fitted: FittedRouter, folder: Path) -> None:
    """Training into the same folder again is no error."""
    save(fitted, folder)
    load(folder)


@pytest.mark.parametrize("name", [ARRAYS, CARD])
def test_a_missing_file_is_refused(folder: Path, name: str) -> None:
    """Half a router is none."""
    (folder / name).unlink()
    with pytest.raises(ArtifactRejected, match="no readable router"):
        load(folder)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    """The message says where it was looked for."""
    with pytest.raises(ArtifactRejected, match="nowhere"):
        load(tmp_path / "nowhere")


@pytest.mark.parametrize("name", [ARRAYS, CARD])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_refused(folder: Path, name: str, share: float) -> None:
    """Wherever a copy broke off."""
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: int(share * len(data))])
    with pytest.raises(ArtifactRejected):
        load(folder)


def test_a_flipped_bit_is_noticed(folder: Path) -> None:
    """The card knows the arrays' hash."""
    data = bytearray((folder / ARRAYS).read_bytes())
    data[-5] ^= 1
    (folder / ARRAYS).write_bytes(data)
    with pytest.raises(ArtifactRejected, match="damaged"):
        load(folder)


@pytest.mark.parametrize(
    "card", ["[]", "null", '"router"', "{}", '{"format": "collegium-router-0"}', "\xff", "{"]
)
def test_a_foreign_card_is_refused(folder: Path, card: str) -> None:
    """Valid JSON is not enough."""
    (folder / CARD).write_bytes(card.encode("latin-1"))
    with pytest.raises(ArtifactRejected):
        load(folder)


def rewritten(folder: Path, arrays: dict[str, Any], **card: Any) -> None:
    """Change the arrays and the card as a tool would that knows of the hash."""
    data = to_bytes(read_arrays((folder / ARRAYS).read_bytes()) | arrays)
    (folder / ARRAYS).write_bytes(data)
    before = json.loads((folder / CARD).read_text())
    after = before | {"arrays_sha256": hashlib.sha256(data).hexdigest()} | card
    (folder / CARD).write_text(json.dumps(after))


@pytest.mark.parametrize(
    "name",
    [
        "skills.coef",
        "skills.intercept",
        "beliefs.rates",
        "beliefs.table.table",
        "beliefs.table.group1.rates",
        "beliefs.held.quality",
        "beliefs.evidence.marked",
        "beliefs.features.axes",
        "beliefs.weights.anonymous",
        "application_tokens",
        "held_tokens",
        "tokens",
        "milliseconds_per_token",
    ],
)
@pytest.mark.parametrize(
    "array", [np.zeros((2, 3), np.float32), np.zeros(7, np.float32), np.zeros((), np.float32)]
)
def test_an_array_of_the_wrong_shape_is_refused(folder: Path, name: str, array: Any) -> None:
    """Better now than at the first query."""
    rewritten(folder, {name: array})
    with pytest.raises(ArtifactRejected, match="incomplete"):
        load(folder)


def test_an_array_with_a_hole_is_refused(folder: Path, fitted: FittedRouter) -> None:
    """A weight that is no number would spoil every forecast."""
    holed = fitted.skills.coef_.astype(np.float32)
    holed[1, 2] = np.nan
    rewritten(folder, {"skills.coef": holed})
    with pytest.raises(ArtifactRejected, match=r"skills\.coef is not finite"):
        load(folder)


@pytest.mark.parametrize("part", ["base0.", "beliefs.table.", "beliefs.weights."])
def test_beliefs_with_a_hole_are_refused(folder: Path, part: str) -> None:
    """So would one in any array of the beliefs."""
    arrays = read_arrays((folder / ARRAYS).read_bytes())
    holed = {
        name: np.full_like(array, np.nan)
        for name, array in arrays.items()
        if name.startswith(part) and array.dtype == np.float32
    }
    assert holed
    rewritten(folder, holed)
    with pytest.raises(ArtifactRejected, match="incomplete"):
        load(folder)


@pytest.mark.parametrize("part", ["base0.", "beliefs."])
def test_beliefs_of_other_experts_are_refused(folder: Path, tmp_path: Path, part: str) -> None:
    """Their forecasts would be taken for those of the experts that the card names."""
    other = tmp_path / "other"
    save(fitted_router(POOL[:2]), other)
    theirs = read_arrays((other / ARRAYS).read_bytes())
    theirs = {name: array for name, array in theirs.items() if name.startswith(part)}
    rewritten(folder, theirs, beliefs=json.loads((other / CARD).read_text())["beliefs"])
    with pytest.raises(ArtifactRejected):
        load(folder)


@pytest.mark.parametrize(
    "tree",
    [
        None,
        {},
        {"applications": [], "bases": None},
        {"applications": "abc", "bases": []},
        {"applications": ["one"], "bases": []},
        {"applications": [], "bases": [{"estimator": "Path", "params": {}, "state": {}}]},
    ],
)
def test_foreign_beliefs_are_refused(folder: Path, tree: Any) -> None:
    """Only our own classes are made from a card."""
    rewritten(folder, {}, beliefs=tree)
    with pytest.raises(ArtifactRejected):
        load(folder)


@pytest.mark.parametrize(
    "card",
    [
        {"fingerprints": ["lora:builtin:sql"]},
        {"skills": ["sql"]},
        {"fingerprints": None},
        {"fingerprints": "abc"},
        {"skills": "abc"},
        {"skills": [1, 2, 3]},
        {"encoder": None},
    ],
)
def test_a_card_that_does_not_fit_its_arrays_is_refused(folder: Path, card: dict[str, Any]) -> None:
    """Other experts or skills than the arrays have rows for, or no names at all."""
    rewritten(folder, {}, **card)
    with pytest.raises(ArtifactRejected):
        load(folder)


class Booby:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", [ARRAYS, CARD])
def test_nothing_is_unpickled(folder: Path, tmp_path: Path, name: str) -> None:
    """A pickle in the place of a file is refused and never run."""
    data = pickle.dumps(Booby(tmp_path / "sprung"))
    (folder / name).write_bytes(data)
    if name == ARRAYS:
        card = json.loads((folder / CARD).read_text())
        card["arrays_sha256"] = hashlib.sha256(data).hexdigest()
        (folder / CARD).write_text(json.dumps(card))
    with pytest.raises(ArtifactRejected):
        load(folder)
    assert not (tmp_path / "sprung").exists()
