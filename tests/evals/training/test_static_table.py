"""The static encoder's table, as it is made from MiniLM's first layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from collegium.errors import SetupError
from collegium.evals.training.static_table import distilled, first_layer, write, zipf_weights
from collegium.experts.embedded import encoder_path
from collegium.router.static_encoder import TABLE, TOKENIZER, WEIGHTS, static_encoder

TEXTS = ["Write an SQL query.", "Convert 3 km to metres.", "写一首关于秋天的诗", "?"]


def test_the_table_that_ships_is_the_one_that_is_made(tmp_path: Path) -> None:
    """Byte for byte, so that routers fitted on it stay valid."""
    write(encoder_path(), tmp_path)
    for name in (TABLE, TOKENIZER):
        assert (tmp_path / name).read_bytes() == (WEIGHTS / name).read_bytes()


def test_one_byte_a_number_keeps_the_vectors() -> None:
    """Against the exact ones; the last text is a single token, where errors don't cancel."""
    rounded, exact = static_encoder(), static_encoder()
    exact._vectors = distilled(encoder_path())
    cosines = (rounded.encode(TEXTS) * exact.encode(TEXTS)).sum(axis=1)
    assert cosines.min() > 0.9998
    assert not np.array_equal(rounded.encode(TEXTS), exact.encode(TEXTS))


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    """A missing or damaged file is named."""
    with pytest.raises(SetupError, match="no sentence encoder"):
        distilled(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(SetupError, match="no sentence encoder"):
        distilled(tmp_path)


def test_frequent_tokens_weigh_less() -> None:
    """a / (a + p) with Zipf's p; the weights grow with the rank and stay below one."""
    weights = zipf_weights(1000)
    assert weights[9] == pytest.approx(1e-4 / (1e-4 + 1 / (10 * np.log(1000))), rel=1e-5)
    assert (np.diff(weights) > 0).all()
    assert weights[-1] < 1


def test_the_first_layer_is_normalised() -> None:
    """With scale one and shift zero every row has mean 0 and variance 1."""
    rng = np.random.default_rng(0)
    layer = {
        "word_embeddings.weight": rng.normal(size=(50, 16)),
        "position_embeddings.weight": rng.normal(size=(80, 16)),
        "token_type_embeddings.weight": rng.normal(size=(2, 16)),
        "LayerNorm.weight": np.ones(16),
        "LayerNorm.bias": np.zeros(16),
    }
    rows = first_layer({name: array.astype(np.float32) for name, array in layer.items()})
    np.testing.assert_allclose(rows.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(rows.var(axis=1), 1, atol=1e-4)
