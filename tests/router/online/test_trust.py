"""Feedback: what one source, or a share of all sources, can do at most."""

from __future__ import annotations

import numpy as np
import pytest

from collegium.router.online.trust import BUCKETS, SourceCaps, beyond


def test_a_flood_of_one_source_weighs_one_rating() -> None:
    """A thousand ratings of one expert within the memory count as `most`."""
    caps = SourceCaps(2, most=1.0, discount=1.0)
    assert sum(caps.admit("loud", 0) for _ in range(1000)) == pytest.approx(1.0)
    assert caps.admit("loud", 1) == 1.0  # another expert is another matter


def test_a_source_counts_again_when_its_rating_is_forgotten() -> None:
    """With the same discount as the evidence."""
    caps = SourceCaps(1, most=1.0, discount=0.9)
    caps.admit("one", 0)
    for step in range(20):
        caps.admit(f"other {step}", 0)
    assert caps.admit("one", 0) == pytest.approx(1 - 0.9**21)


def test_the_operators_own_ratings_are_not_capped() -> None:
    """They are evaluations, and there is nothing to doubt in them."""
    caps = SourceCaps(1, most=1.0, discount=1.0)
    assert [caps.admit("", 0) for _ in range(5)] == [1.0] * 5
    assert caps.doubt(0.05).tolist() == [0.0]


def test_doubt_is_what_the_liars_could_have_given() -> None:
    """100 sources, 20 of which rated expert 1: five of all could be a quarter of those."""
    caps = SourceCaps(3, most=1.0, discount=1.0)
    sources = [f"source {i}" for i in range(100)]
    buckets = {hash_of(name) for name in sources}
    for i, name in enumerate(sources):
        caps.admit(name, 0)
        if i < 20:
            caps.admit(name, 1)
    few = len({hash_of(name) for name in sources[:20]})
    expected = [0.05, 0.05 * len(buckets) / few, 0.0]
    np.testing.assert_allclose(caps.doubt(0.05), expected, atol=0.01)


def hash_of(name: str) -> int:
    import zlib

    return zlib.crc32(name.encode()) % BUCKETS


def test_only_what_lies_explain_is_ignored() -> None:
    """Differences shrink towards the forecast by the doubt, and never past it."""
    found = beyond(np.array([0.03, -0.03, 0.3, -0.3]), np.full(4, 0.05))
    np.testing.assert_allclose(found, [0.0, 0.0, 0.25, -0.25])
