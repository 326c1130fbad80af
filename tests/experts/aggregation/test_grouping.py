"""How votes are weighed, joined by meaning, and when a vote is decided."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collegium.experts.aggregation.base import MemberAnswer
from collegium.experts.aggregation.grouping import Ballots, posterior
from tests.experts.aggregation.scripted import member


def replies(*answers: str, forecasts: Sequence[float | None] = ()) -> list[MemberAnswer]:
    """One reply a seat."""
    known = [*forecasts, *[None] * (len(answers) - len(forecasts))]
    return [
        MemberAnswer(seat, member(f"e{seat}", p), {"content": text})
        for seat, (text, p) in enumerate(zip(answers, known, strict=True))
    ]


def test_one_sure_expert_outvotes_two_guessers() -> None:
    """Log-odds weights, as Nitzan and Paroush's optimum has them; equal weights count heads."""
    said = replies("1", "2", "2", forecasts=(0.95, 0.4, 0.4))
    assert Ballots().count(said)[0].answer == "1"
    assert Ballots("equal").count(said)[0].answer == "2"


def test_a_posterior_of_one_answer_is_its_forecast() -> None:
    """The weights are calibrated where the forecasts are."""
    for p in (0.3, 0.6, 0.9):
        assert posterior(Ballots().count(replies("x", forecasts=(p,)))) == pytest.approx(p)


def test_the_posterior_is_bayes_rule() -> None:
    """Two of 0.6 agree against one of 0.7, four answers possible: the product of likelihoods."""
    groups = Ballots().count(replies("1", "1", "2", forecasts=(0.6, 0.6, 0.7)))
    wrong = 0.4 / 3
    one, two = 0.6 * 0.6 * 0.1, wrong * wrong * 0.7
    neither = wrong * wrong * 0.1
    assert posterior(groups) == pytest.approx(one / (one + two + 2 * neither))


def test_free_texts_are_joined_by_meaning() -> None:
    """What hangs together by similar pairs is one answer, whatever the order."""
    said = replies("Dogs bark loudly", "Loud barks come from dogs", "Cats purr", "Barking dogs")
    close = {frozenset((0, 1)), frozenset((1, 3))}
    names = [reply.text for reply in said]

    def similarity(texts: Sequence[str]) -> list[list[float]]:
        places = [names.index(text) for text in texts]
        return [[1.0 if frozenset((a, b)) in close else 0.0 for b in places] for a in places]

    for order in permutations(said):
        groups = Ballots(similarity=similarity).count(order)
        assert [g.seats for g in groups] == [(0, 1, 3), (2,)]


@given(
    st.lists(
        st.tuples(st.sampled_from("ABC") | st.just("free words here"), st.floats(0.05, 0.95)),
        min_size=1,
        max_size=5,
    ),
    st.randoms(use_true_random=False),
)
def test_an_early_decision_is_the_final_one(votes: list[tuple[str, float]], random: object) -> None:
    """Whatever has come when the vote counts as decided, the winner and its speaker stay."""
    said = replies(*[v for v, _ in votes], forecasts=[p for _, p in votes])
    ballots = Ballots()
    final = ballots.count(said)[0].seats[0]
    order = list(said)
    random.shuffle(order)  # type: ignore[attr-defined]
    for come in range(1, len(order)):
        waiting = {r.seat: r.member for r in order[come:]}
        if ballots.decided(order[:come], waiting):
            assert ballots.count(order[:come])[0].seats[0] == final
