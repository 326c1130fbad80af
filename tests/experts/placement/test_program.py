"""The integer program: against every plan there is, and what has to hold of any plan."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collegium.experts.checkpoint import Checkpoint
from collegium.experts.placement.plan import OVERHEAD_GIB, USABLE, Card, Need, left_by
from collegium.experts.placement.program import solve
from tests.experts.placement.brute_force import best, goals

SHAPE = Checkpoint(10.0, layers=32, heads=32, kv_heads=8, head_dim=128, context=8192, hidden=4096)


def need(name: str, weights: float = 10.0, **options: object) -> Need:
    """An engine whose KV cache takes 1 GiB, in one sequence of 8192 tokens."""
    shape = replace(SHAPE, weights_gib=weights)
    return replace(Need(name, shape, sequences=1, context=8192), **options)  # type: ignore[arg-type]


def cards(*sizes: float) -> list[Card]:
    return [Card(i, size) for i, size in enumerate(sizes)]


def test_an_engine_takes_weights_cache_and_overhead_of_each_card() -> None:
    """Split by the degree, but for what every card needs; more cards than KV heads repeat them."""
    one = need("a", 16.0)
    assert one.gib_on(1) == 16.0 + 1.0 + OVERHEAD_GIB
    assert one.gib_on(2) == 8.0 + 0.5 + OVERHEAD_GIB
    assert one.gib_on(16) == 1.0 + 0.125 + OVERHEAD_GIB
    assert one.degrees(16) == (1, 2, 4, 8, 16)


def test_latent_attention_is_not_split() -> None:
    """Its cache is the same on every card."""
    latent = replace(SHAPE, latent=576)
    assert latent.kv_bytes(8) == latent.kv_bytes(1) == 32 * 576 * 2


def test_several_engines_share_a_card() -> None:
    """Each has its part of the memory as `--gpu-memory-utilization`."""
    plan = solve([need("a"), need("b", 20.0)], cards(41.0))
    assert [p.cards for p in plan.placements] == [(0,), (0,)]
    assert all(p.resident for p in plan.placements)
    assert sum(p.utilization for p in plan.placements) <= USABLE
    assert plan.left_gib[0] == pytest.approx(USABLE * 41 - 13.5 - 23.5)
    assert plan.optimal


def test_what_does_not_fit_together_takes_turns() -> None:
    """The engine that is asked most stays, where the others fit beside it."""
    busy = need("busy", 10.0, requests_per_minute=100.0)
    plan = solve([busy, need("b", 20.0), need("c", 20.0)], cards(45.0))
    assert {p.engine: p.resident for p in plan.placements} == {"busy": True, "b": False, "c": False}


def test_a_sleeper_keeps_a_part_of_its_card() -> None:
    """With it two engines fit in turns only where there is room for that, too."""
    asked = need("a", 20.0, sleep_level=1, requests_per_minute=1.0)
    sleepers = [asked, need("b", 20.0, sleep_level=1)]
    tight = 23.5 / USABLE + 0.5
    assert solve(sleepers, cards(tight)).unplaced.keys() == {"b"}
    assert not solve(sleepers, cards(tight + 1.1)).unplaced


def test_a_large_engine_is_split_over_cards_of_one_kind() -> None:
    """Never over a large and a small one."""
    plan = solve([need("large", 100.0)], [*cards(80.0, 80.0), Card(2, 40.0)])
    (only,) = plan.placements
    assert only.cards == (0, 1)
    mixed = solve([need("large", 60.0)], [Card(0, 50.0, "A"), Card(1, 50.0, "B")])
    assert mixed.unplaced.keys() == {"large"}


def test_what_does_not_fit_is_said() -> None:
    """With how much it takes, and how much there is."""
    plan = solve([need("large", 200.0)], cards(80.0, 80.0))
    assert plan.placements == ()
    assert plan.unplaced["large"] == (
        "it takes 103.0 GiB of each of 2 card(s), which have 73.6 GiB for engines"
    )
    odd = solve([need("odd", 1.0, degree=3)], cards(80.0, 80.0, 80.0))
    assert odd.unplaced["odd"] == (
        "its 32 attention heads and 8 KV heads can't be split over 3 card(s)"
    )
    wide = solve([need("wide", 1.0, degree=4)], cards(80.0, 80.0))
    assert wide.unplaced["wide"] == "it is to run on 4 cards, and there are 2"
    busy = [need(n, 60.0, always=True, requests_per_minute=r) for n, r in (("a", 9), ("b", 1))]
    assert solve(busy, cards(80.0)).unplaced == {
        "b": "it takes 63.5 GiB of each of 1 card(s), and others are asked more"
    }


def test_what_runs_stays_where_it_is() -> None:
    """Though the cards could be filled more evenly."""
    running = [need("a", now=(1,)), need("b", now=(1,))]
    plan = solve(running, cards(80.0, 80.0))
    assert [p.cards for p in plan.placements] == [(1,), (1,)]
    assert plan.moved == ()
    large = need("large", 70.0, cards=(1,), always=True)
    moved = solve([*(replace(n, always=True) for n in running), large], cards(80.0, 80.0))
    assert moved.moved == ("a", "b")


def test_an_engine_that_names_its_cards_gets_those() -> None:
    """All of them, as its tensor-parallel degree, unless that is given, too."""
    plan = solve([need("a", cards=(1, 2))], cards(80.0, 80.0, 80.0))
    assert plan.placements[0].cards == (1, 2)
    one = solve([need("a", cards=(1, 2), degree=1)], cards(80.0, 80.0, 80.0))
    assert one.placements[0].cards in {(1,), (2,)}


shapes = st.builds(
    Checkpoint,
    weights_gib=st.floats(1.0, 60.0).map(lambda x: round(x, 1)),
    layers=st.just(32),
    heads=st.sampled_from([4, 6, 28, 32]),
    kv_heads=st.sampled_from([1, 2, 4]),
    head_dim=st.just(128),
    context=st.just(8192),
    hidden=st.just(4096),
    latent=st.sampled_from([0, 0, 576]),
)
needs = st.lists(
    st.builds(
        Need,
        name=st.just(""),
        checkpoint=shapes,
        sequences=st.integers(1, 8),
        context=st.sampled_from([1024, 8192]),
        requests_per_minute=st.integers(0, 50).map(float),
        loras=st.integers(0, 4),
        always=st.booleans(),
        sleep_level=st.sampled_from([0, 1]),
        now=st.sampled_from([(), (), (0,)]),
    ),
    min_size=1,
    max_size=3,
).map(lambda some: [replace(each, name=f"e{i}") for i, each in enumerate(some)])
machines = st.lists(st.sampled_from([24.0, 40.0, 40.0]), min_size=1, max_size=3).map(
    lambda sizes: cards(*sizes)
)


@settings(deadline=None, max_examples=60)
@given(needs=needs, machine=machines)
def test_no_plan_is_better(needs: list[Need], machine: list[Card]) -> None:
    """All goals, one after the other, are those of the best of all plans."""
    plan = solve(needs, machine)
    assert plan.optimal
    assert goals(plan.placements, needs, machine) == pytest.approx(best(needs, machine), rel=1e-4)


@settings(deadline=None, max_examples=60)
@given(needs=needs, machine=machines)
def test_every_plan_can_be_carried_out(needs: list[Need], machine: list[Card]) -> None:
    """No card over its memory, degrees that divide the heads, every engine once or explained."""
    plan = solve(needs, machine)
    by_name, sizes = {n.name: n for n in needs}, {c.index: c for c in machine}
    assert min(left_by(plan.placements, needs, machine).values()) >= -1e-5
    for placed in plan.placements:
        engine = by_name[placed.engine]
        assert engine.checkpoint.heads % len(placed.cards) == 0
        assert len(set(placed.cards)) == len(placed.cards)
        assert len({sizes[c].memory_gib for c in placed.cards}) == 1
        assert placed.resident or not engine.always
    placed_names = [p.engine for p in plan.placements]
    assert sorted([*placed_names, *plan.unplaced]) == sorted(by_name)
    for card in machine:
        resident = [p for p in plan.placements if p.resident and card.index in p.cards]
        assert sum(p.utilization for p in resident) <= USABLE + 1e-6
