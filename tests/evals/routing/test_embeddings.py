"""Vectors are made once for a text and an encoder."""

from pathlib import Path

import numpy as np
import pytest

from collegium.errors import SetupError
from collegium.evals.routing.embeddings import FILE, EmbeddingCache
from collegium.evals.routing.encoders import DEFAULT, encoder
from collegium.router.features import SurfaceEncoder
from tests.evals.routing.worlds import SkillEncoder


class Renamed(SkillEncoder):
    """Another encoder."""

    name = "renamed"


def test_only_new_texts_are_encoded(tmp_path: Path) -> None:
    """Each once, whatever set it is in; rows come in the order that was asked for."""
    encoder, cache = SkillEncoder(), EmbeddingCache(tmp_path)
    first = cache.encode(encoder, ["maths 1", "poems 2", "maths 1"], progress=False)
    assert encoder.texts == ["maths 1", "poems 2"]
    again = EmbeddingCache(tmp_path).encode(encoder, ["law 3", "maths 1"], progress=False)
    assert encoder.texts == ["maths 1", "poems 2", "law 3"]
    np.testing.assert_array_equal(again[1], first[0])
    expected = SkillEncoder().encode(["law 3", "maths 1"])
    np.testing.assert_allclose(again, expected, atol=1e-7)


def test_encoders_do_not_share_vectors(tmp_path: Path) -> None:
    """The key is the text and the encoder's name."""
    cache, other = EmbeddingCache(tmp_path), Renamed()
    cache.encode(SkillEncoder(), ["maths 1"], progress=False)
    cache.encode(other, ["maths 1"], progress=False)
    assert other.texts == ["maths 1"]


def test_surface_features_are_made_anew_beside_kept_vectors(tmp_path: Path) -> None:
    """Only the inner encoder's vectors are on disk, for it and for any encoder around it."""
    inner, cache = SkillEncoder(), EmbeddingCache(tmp_path)
    texts = ["maths 1 + 2", "poems"]
    wide = cache.encode(SurfaceEncoder(inner), texts, progress=False)
    assert inner.texts == texts
    np.testing.assert_allclose(wide, SurfaceEncoder(SkillEncoder()).encode(texts), atol=1e-6)
    cache.encode(inner, texts, progress=False)
    assert inner.texts == texts


@pytest.mark.parametrize(("name", "wide"), [("static", 384), ("static+surface", 384 + 32)])
def test_other_encoders_go_by_name(name: str, wide: int) -> None:
    """Each with and without what a text looks like."""
    assert encoder(name).encode(["a cat"]).shape == (1, wide)


def test_the_default_encoder_is_minilm(tmp_path: Path) -> None:
    """Its vectors come back from disk as they were made."""
    minilm = encoder(DEFAULT)
    made = EmbeddingCache(tmp_path).encode(minilm, ["a cat", "a kitten", "tax law"], progress=False)
    assert made.shape == (3, 384)
    assert made[0] @ made[1] > 0.6 > made[0] @ made[2]
    again = EmbeddingCache(tmp_path).encode(minilm, ["tax law"], progress=False)
    np.testing.assert_array_equal(again[0], made[2])


def test_a_damaged_cache_says_what_to_do(tmp_path: Path) -> None:
    """It can be made again: delete it."""
    (tmp_path / FILE).write_bytes(b"no database at all" * 100)
    with pytest.raises(SetupError, match="delete it"):
        EmbeddingCache(tmp_path).encode(SkillEncoder(), ["maths 1"], progress=False)
