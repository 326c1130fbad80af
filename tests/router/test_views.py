"""Parts of a text, by one of which an unfamiliar query is read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from collegium.router.artifact import FittedRouter
from collegium.router.costs import Speeds
from collegium.router.decision import Query
from collegium.router.router import Router
from collegium.router.static_encoder import static_encoder
from collegium.router.views import MOST_CHARACTERS, familiar, pieces, views
from tests.router.synthetic import REGISTERED, WordEncoder, fitted_router


@pytest.fixture(scope="module")
def fitted() -> FittedRouter:
    """What knows three skills by their first words."""
    return fitted_router(REGISTERED)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (" Hello! sql 1 and more.\nBye now ", ["Hello! ", "sql 1 and more.\n", "Bye now"]),
        ("one. two", ["one. ", "two"]),
        ("one.\n \ntwo", ["one.\n \n", "two"]),
        ("convert 3 km to metres", ["convert 3 km to metres"]),
        ("convert 3 km to metres xq zvk wjj", ["convert 3 km to ", "metres xq zvk wjj"]),
        ("", []),
    ],
)
def test_the_first_and_the_last_sentence_are_pieces(text: str, found: list[str]) -> None:
    """Lines as well; one sentence is two halves, unless it is short."""
    assert pieces(text) == found
    assert "".join(found) == text.strip()


@pytest.mark.parametrize("text", ["", "   ", "\n\n", "?" * 9000, "a. " * 9000, "a " * 9000])
def test_odd_texts_have_few_pieces(text: str) -> None:
    """Whatever is sent: none of them empty, together no longer than what is read."""
    found = pieces(text)
    assert len(found) <= 3
    assert all(piece.strip() for piece in found)
    assert len("".join(found)) <= MOST_CHARACTERS


def test_views_leave_out_what_is_before_or_behind() -> None:
    """By the means of the pieces that are left, the longer ones counting more."""
    first, middle, last = np.eye(3)
    found = views(np.eye(3), [10, 30, 40])
    expected = [first, first + 3 * middle, 3 * middle + 4 * last, last]
    np.testing.assert_allclose(found, [v / np.linalg.norm(v) for v in expected])
    longer = views(2.5 * np.eye(3), [10, 30, 40])  # as vectors with surface features are
    np.testing.assert_allclose(longer, 2.5 * found)


def test_the_mean_of_pieces_is_near_the_text_that_they_make() -> None:
    """By the encoder that ships, whose vectors are sums of tokens' vectors."""
    encoder, sentences = static_encoder(), ("Convert 3 miles to feet. ", "Answer in feet only. ")
    vectors = np.asarray(encoder.encode([*sentences, "Thanks!"]), dtype=np.float64)
    found = views(vectors, [*map(len, sentences), 7])
    both = encoder.encode(["".join(sentences)])[0]
    assert found[1] @ both > 0.99


def read(fitted: FittedRouter, texts: Sequence[str]) -> tuple[np.ndarray, WordEncoder]:
    """Their embeddings, of parts where those are familiar, and who made them."""
    encoder = WordEncoder()
    X = np.asarray(encoder.encode(texts), dtype=np.float64)
    evidence = fitted.beliefs.evidence_
    encoder.texts.clear()
    return familiar(texts, X, evidence.weights(X), evidence, encoder), encoder


def test_a_familiar_text_is_read_once(fitted: FittedRouter) -> None:
    """Its views are not encoded: they would take time."""
    found, encoder = read(fitted, ["sql 7"])
    assert encoder.texts == []
    np.testing.assert_array_equal(found, WordEncoder().encode(["sql 7"]))


def test_an_unfamiliar_text_is_read_by_its_familiar_part(fitted: FittedRouter) -> None:
    """Each text by its own; one without a familiar part as a whole."""
    texts = ["Weather is fine. sql 7", "sql 7", "Weather is fine. Nothing else here"]
    found, _ = read(fitted, texts)
    np.testing.assert_allclose(found[:2], WordEncoder().encode(["sql 7", "sql 7"]), atol=1e-7)
    np.testing.assert_array_equal(found[2:], WordEncoder().encode(texts[2:]))


async def test_the_router_decides_by_the_familiar_part(fitted: FittedRouter) -> None:
    """As if the sentence before the question were not there."""
    router = Router(WordEncoder(), fitted, Speeds(45.0))
    plain, disturbed = [
        await router.decide(Query(text), REGISTERED, lambda expert: None)
        for text in ("sql 7", "This is very hard. sql 7")
    ]
    assert disturbed.expert == plain.expert == "sql"
    assert disturbed.ood_score == pytest.approx(plain.ood_score, abs=1e-6)


async def test_parts_are_not_read_where_the_marks_choose_among_nobody(fitted: FittedRouter) -> None:
    """On day one the experts are new, and to read the parts would only take time."""
    encoder = WordEncoder()
    router = Router(encoder, fitted, Speeds(45.0))
    for pool, count in ((REGISTERED, 3), (REGISTERED[:1], 1)):
        encoder.texts.clear()
        await router.decide(Query("This is very hard. sql 7"), pool, lambda expert: None)
        assert len(encoder.texts) == count


async def test_parts_are_not_read_where_an_expert_is_named(fitted: FittedRouter) -> None:
    """Nothing is left to choose."""
    encoder = WordEncoder()
    query = Query("This is very hard. sql 7", "lists")
    decision = await Router(encoder, fitted, Speeds(45.0)).decide(query, REGISTERED, lambda e: None)
    assert (decision.expert, len(encoder.texts)) == ("lists", 1)
