"""Any sentence-transformers model as the encoder: by folder, by name, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from collegium.errors import ArtifactRejected, SettingsError, SetupError
from collegium.experts.embedded import encoder_path
from collegium.router.any_encoder import AnyEncoder
from collegium.router.artifact import bundled, folder_of, load
from collegium.router.costs import Speeds
from collegium.router.encoder import make_encoder, require_dimensions
from collegium.router.router import Router
from collegium.router.vectors import Encoder
from collegium.settings import load_settings

TEXTS = ["Convert 3 km to metres.", "Who wrote Faust?", "", "long " * 3000, "half a pair \ud800"]


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model that comes with the package, under a name of its own."""
    folder = tmp_path_factory.mktemp("models") / "all-MiniLM-L6-v2"
    shutil.copytree(encoder_path(), folder)
    return folder


@pytest.fixture(scope="module")
def encoder(named: Path, tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    """The encoder that the setting makes of that folder."""
    return make_encoder(str(named), cache=tmp_path_factory.mktemp("cache"), threads=1)


def test_a_folder_makes_the_vectors_of_its_model(encoder: Encoder, tmp_path: Path) -> None:
    """The same as the default encoder, which runs the same weights without PyTorch."""
    vectors, usual = encoder.encode(TEXTS), make_encoder("minilm", threads=1).encode(TEXTS)
    assert vectors.shape == (len(TEXTS), 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    assert (vectors * usual).sum(axis=1).min() > 0.999


def test_its_name_tells_its_weights(encoder: Encoder, named: Path, tmp_path: Path) -> None:
    """Wherever it lies; other weights, or another pooling, have another name."""
    moved = tmp_path / named.name
    shutil.copytree(named, moved)
    assert AnyEncoder(str(moved), tmp_path).name == encoder.name
    assert encoder.name.startswith("all-MiniLM-L6-v2@")
    pooling = moved / "1_Pooling" / "config.json"
    pooling.write_text(pooling.read_text().replace("false", "false "))
    assert AnyEncoder(str(moved), tmp_path).name != encoder.name


def test_a_router_of_another_encoder_is_refused_in_words(encoder: Encoder) -> None:
    """Both encoders are named, and what to do."""
    with pytest.raises(ArtifactRejected, match=r"fitted on 'minilm.*not 'all-MiniLM-L6-v2@"):
        Router(encoder, load(bundled("minilm")), Speeds(45.0))


def test_a_router_of_other_dimensions_is_refused_in_words(encoder: Encoder) -> None:
    """As where a plugin's encoder has changed under its name."""
    fitted = load(bundled("minilm"))
    require_dimensions(encoder, fitted.dimensions, fitted.dimensions)
    with pytest.raises(ArtifactRejected, match=r"vectors of \d+ dimensions, and those of .* 768"):
        require_dimensions(encoder, 768, fitted.dimensions)


def test_no_router_ships_for_it(named: Path) -> None:
    """Whoever names another encoder is told to fit one."""
    with pytest.raises(ArtifactRejected, match=r"no bundled router for .*collegium router train"):
        folder_of(load_settings(encoder=str(named)))
    assert folder_of(load_settings(encoder=str(named), router_dir=named)) == named


def test_a_name_that_is_nothing_is_refused_with_what_there_is(tmp_path: Path) -> None:
    """By the settings, before anything is loaded."""
    with pytest.raises(SettingsError, match=r"no encoder 'bert'.*minilm, static \(collegium"):
        load_settings(encoder="bert")
    assert load_settings(encoder="sentence-transformers/all-mpnet-base-v2").encoder
    assert load_settings(encoder=str(tmp_path)).encoder


def test_pickles_are_never_loaded(tmp_path: Path) -> None:
    """A folder without safetensors is refused, whatever else is in it."""
    (tmp_path / "pytorch_model.bin").write_bytes(b"anything")
    with pytest.raises(SetupError, match="no safetensors weights"):
        make_encoder(str(tmp_path))


def test_a_damaged_model_is_refused_by_name(named: Path, tmp_path: Path) -> None:
    """What is wrong with it is told."""
    broken = tmp_path / "broken"
    shutil.copytree(named, broken)
    (broken / "model.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(SetupError, match=f"the encoder '{broken}' can't be loaded"):
        make_encoder(str(broken))


def test_a_name_that_was_downloaded_needs_no_network(named: Path, tmp_path: Path) -> None:
    """The hub's cache has a folder a model, with a commit's files."""
    known = tmp_path / "encoders" / "models--acme--mini"
    (known / "refs").mkdir(parents=True)
    (known / "refs" / "main").write_text("c0ffee")
    (known / "snapshots").mkdir()
    (known / "snapshots" / "c0ffee").symlink_to(named)
    found = make_encoder("acme/mini", cache=tmp_path)
    assert found.name.startswith("mini@")
    assert found.encode(["x"]).shape == (1, 384)


def test_a_name_that_needs_a_download_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And where the hub can't be reached what else can be done."""
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(SetupError, match=r"'acme/mini' is not in .* and can't be downloaded"):
        make_encoder("acme/mini", cache=tmp_path)
    assert "Downloading the encoder acme/mini from the Hugging Face hub" in caplog.text
