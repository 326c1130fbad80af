"""Parts of a text, by one of which an unfamiliar query is read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from collegium.router.artifact import FittedRouter
from collegium.router.costs import Speeds
from collegium.router.decision import Query
from collegium.router.router import Router
from collegium.router.views import MOST_CHARACTERS, familiar, views
from tests.router.synthetic import REGISTERED, WordEncoder, fitted_router


@pytest.fixture(scope="module")
def fitted() -> FittedRouter:
    """What knows three skills by their first words."""
    return fitted_router(REGISTERED)


def test_views_leave_out_what_is_before_or_behind() -> None:
    """Sentences and lines at the ends, and either half."""
    assert views("Hello there! sql 1 and more.\nBye now") == [
        "Hello there!",
        "Bye now",
        "Hello there! sql 1 and more.",
        "sql 1 and more.\nBye now",
        "Hello there! sql 1",
        "and more. Bye now",
    ]
    assert views("sql 1") == []
    assert views("one. two") == ["one.", "two"]


@pytest.mark.parametrize("text", ["", "   ", "\n\n", "?" * 9000, "a. " * 9000])
def test_odd_texts_have_bounded_views(text: str) -> None:
    """Whatever is sent: at most six, none of them empty or longer than what is read."""
    found = views(text)
    assert len(found) <= 6
    assert all(view.strip() and len(view) <= MOST_CHARACTERS for view in found)


def read(fitted: FittedRouter, texts: Sequence[str]) -> tuple[np.ndarray, WordEncoder]:
    """Their embeddings, of parts where those are familiar, and who made them."""
    encoder = WordEncoder()
    X = np.asarray(encoder.encode(texts), dtype=np.float64)
    evidence = fitted.beliefs.evidence_
    encoder.texts.clear()
    return familiar(texts, X, evidence.weights(X), evidence, encoder.encode), encoder


def test_a_familiar_text_is_read_once(fitted: FittedRouter) -> None:
    """Its views are not encoded: they would take time."""
    found, encoder = read(fitted, ["sql 7"])
    assert encoder.texts == []
    np.testing.assert_array_equal(found, WordEncoder().encode(["sql 7"]))


def test_an_unfamiliar_text_is_read_by_its_familiar_part(fitted: FittedRouter) -> None:
    """Each text by its own; one without a familiar part as a whole."""
    texts = ["Weather is fine. sql 7", "sql 7", "Weather is fine. Nothing else here"]
    found, _ = read(fitted, texts)
    np.testing.assert_array_equal(found[:2], WordEncoder().encode(["sql 7", "sql 7"]))
    np.testing.assert_array_equal(found[2:], WordEncoder().encode(texts[2:]))


async def test_the_router_decides_by_the_familiar_part(fitted: FittedRouter) -> None:
    """As if the sentence before the question were not there."""
    router = Router(WordEncoder(), fitted, Speeds(45.0))
    plain, disturbed = [
        await router.decide(Query(text), REGISTERED, lambda expert: None)
        for text in ("sql 7", "This is very hard. sql 7")
    ]
    assert disturbed.expert == plain.expert == "sql"
    assert disturbed.ood_score == plain.ood_score


async def test_parts_are_not_read_where_the_marks_choose_among_nobody(fitted: FittedRouter) -> None:
    """On day one the experts are new, and to read the parts would only take time."""
    encoder = WordEncoder()
    router = Router(encoder, fitted, Speeds(45.0))
    for pool, count in ((REGISTERED, 5), (REGISTERED[:1], 1)):
        encoder.texts.clear()
        await router.decide(Query("This is very hard. sql 7"), pool, lambda expert: None)
        assert len(encoder.texts) == count
