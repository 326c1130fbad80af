"""A plan keeps to the limits of the whole, and goes beyond one expert only where it pays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from collegium.errors import ArtifactRejected, BadRequest, NoFeasibleExpert
from collegium.experts.aggregation.catalogue import mode_names
from collegium.experts.aggregation.options import Options
from collegium.registry.expert import AGGREGATION, Expert
from collegium.router.decision import Decision, Forecast, Limits
from collegium.router.panels.plan import Plan, Wish
from collegium.router.panels.planning import plan
from collegium.router.panels.profiles import FILE, Profile, Profiles, price, range_of

PRICES = {"cheap": 1.0, "middle": 4.0, "dear": 20.0}
QUALITY = {"cheap": 0.6, "middle": 0.7, "dear": 0.8}
EXPERTS = tuple(
    Expert(name, "openai", name, input_price=dollars, output_price=dollars)
    for name, dollars in PRICES.items()
)


def decision(**changes: Any) -> Decision:
    """The router's, on a query where the dear expert is the best."""
    forecasts = tuple(
        Forecast(
            name,
            QUALITY[name],
            100 * PRICES[name] / 1e6,
            1000.0,
            5.0,
            50,
            most_usd=100 * PRICES[name] / 1e6,
            most_tokens=50,
        )
        for name in ("dear", "middle", "cheap")
    )
    made = Decision("dear", "quality", 0.8, "Because.", forecasts, {}, 0.1, "auto")
    return replace(made, **changes)


def planned(
    mode: str = "vote",
    limits: Limits | None = None,
    profiles: Profiles | None = None,
    experts: tuple[Expert, ...] = EXPERTS,
    **wish: Any,
) -> Plan:
    """A plan for the query."""
    wanted = Wish(mode, **wish)
    return plan(wanted, decision(), experts, limits or Limits(), profiles or Profiles(), 50)


def seats(found: Plan) -> list[str]:
    """Who sits on the panel."""
    return [m.expert.name for m in found.panel.members]


def test_the_whole_costs_what_its_calls_cost() -> None:
    """Dollars, tokens and joules are summed, times are those of the slowest way through."""
    found = planned("moa", options=Options(layers=2))
    aggregator = EXPERTS[2]
    members = 2 * sum(100 * dollars / 1e6 for dollars in PRICES.values())
    combined = ((50 + 150) + 50) * PRICES[aggregator.name] / 1e6
    assert found.forecast.cost_usd == pytest.approx(members + combined)
    assert found.forecast.latency_ms == 3000.0
    assert found.calls == 7
    assert planned("cascade").forecast.latency_ms == 3000.0
    assert planned("first").forecast.latency_ms == 1000.0


@pytest.mark.parametrize("mode", sorted(mode_names()))
def test_calls_are_counted_as_they_are_made(mode: str) -> None:
    """A limit on calls refuses one less than the mode makes."""
    found = planned(mode, k=None if mode == "single" else 3)
    if mode == "single":
        return
    assert planned(mode, k=3, max_calls=found.calls).calls == found.calls
    with pytest.raises(NoFeasibleExpert, match="max_calls"):
        planned(mode, k=3, max_calls=found.calls - 1)


def test_a_panel_shrinks_to_the_limits_and_says_so() -> None:
    """Where the caller named no number, fewer members are asked; a named number is kept."""
    dollars = Limits(max_cost_usd=0.00245)
    assert seats(planned(limits=dollars)) == ["dear", "middle"]
    assert "leave 2 members, not 3" in planned(limits=dollars).reason
    with pytest.raises(NoFeasibleExpert, match="max_cost_usd"):
        planned(limits=dollars, k=3)


def test_a_floor_is_for_the_panel_not_its_members() -> None:
    """Three of 0.6 to 0.8 vote better than 0.8 together."""
    assert planned(limits=Limits(min_quality=0.8)).forecast.quality == pytest.approx(
        0.8 * (1 - 0.3 * 0.4 / 3) + 0.2 * 0.7 * 0.6
    )
    with pytest.raises(NoFeasibleExpert, match="min_quality"):
        planned(limits=Limits(min_quality=0.95))


def test_a_cascade_asks_the_cheap_first() -> None:
    """By price, whatever the forecasts."""
    assert seats(planned("cascade")) == ["cheap", "middle", "dear"]


def test_samples_are_of_the_chosen_expert_with_other_seeds() -> None:
    """Self-MoA samples and combines with one expert; the seeds are drawn from the caller's."""
    found = planned("self_moa", k=4)
    assert seats(found) == ["dear"] * 4
    assert found.panel.aggregator is not None
    assert found.panel.aggregator.expert.name == "dear"
    drawn = [member.seed for member in found.panel.members]
    assert len(set(drawn)) == 4
    assert drawn == [member.seed for member in planned("self_moa", k=4).panel.members]
    assert drawn != [member.seed for member in planned("self_moa", k=4, seed=1).panel.members]


def test_the_best_measured_aggregator_combines() -> None:
    """A profile of aggregation beats a better forecast; a name beats both."""
    skilled = (replace(EXPERTS[0], skills={AGGREGATION: 0.9}), *EXPERTS[1:])
    combines = planned("moa", experts=skilled).panel.aggregator
    assert combines is not None
    assert combines.expert.name == "cheap"
    named = planned("moa", experts=skilled, aggregator="middle").panel.aggregator
    assert named is not None
    assert named.expert.name == "middle"
    with pytest.raises(BadRequest, match="nobody"):
        planned("moa", aggregator="nobody")


def test_too_large_panels_and_quorums_are_refused() -> None:
    """The message says what is possible."""
    with pytest.raises(NoFeasibleExpert, match="3 can be asked"):
        planned(k=5)
    assert seats(planned(k=5, samples=True)) == ["dear"] * 5
    with pytest.raises(BadRequest, match="quorum is 4 of 3"):
        planned(quorum=4)


def profiles(*measured: Profile) -> Profiles:
    """Profiles in the range of the query's best forecast, 0.8."""
    ranges = [(), (), measured, (), ()]
    assert range_of(0.8) == 2
    return Profiles(ranges=tuple(ranges))


def test_auto_asks_one_expert_where_nothing_was_measured() -> None:
    """No profile, no panel."""
    found = planned("auto")
    assert found.mode == "single"
    assert "no panel was measured" in found.reason


def test_auto_takes_the_most_worthwhile_mode_and_respects_price_and_limits() -> None:
    """At 0 any gain that can be relied on; at 2 only much for little; never a loss."""
    small = Profile("vote", 2, 0.02, 0.01, 1.2, 500)
    large = Profile("vote", 3, 0.05, 0.03, 3.0, 500)
    doubtful = Profile("moa", 3, 0.08, -0.01, 3.0, 500)
    known = profiles(small, large, doubtful)
    assert planned("auto", profiles=known).panel.members[2:] != ()
    at_one = planned("auto", Limits(tradeoff=0.8), known)
    assert len(at_one.panel.members) == 3
    at_two = planned("auto", Limits(tradeoff=2.0), known)
    assert len(at_two.panel.members) == 2
    assert planned("auto", Limits(tradeoff=10.0), known).mode == "single"
    assert planned("auto", Limits(max_cost_usd=0.0021), known).mode == "single"
    assert planned("auto", profiles=profiles(doubtful)).mode == "single"


def test_auto_keeps_tools_and_schemas_valid() -> None:
    """A mode that writes anew is passed over where the answer has to keep its form."""
    known = profiles(Profile("moa", 3, 0.1, 0.08, 3.0, 500), Profile("vote", 3, 0.05, 0.03, 3.0, 9))
    assert planned("auto", profiles=known).mode == "moa"
    assert planned("auto", profiles=known, verbatim=True).mode == "vote"


def test_the_price_of_quality() -> None:
    """Free at 0, ten points a multiple at 5, infinite at 10."""
    assert [price(0), price(5), price(10)] == [0, 0.1, float("inf")]


def test_profiles_are_kept_and_damage_is_told(tmp_path: Path) -> None:
    """What is saved is read; no file is no profile; nonsense is refused."""
    assert Profiles.load(tmp_path) == Profiles()
    kept = profiles(Profile("vote", 3, 0.05, 0.03, 3.0, 500, threshold=0.7, cap=0.5))
    kept.save(tmp_path)
    assert Profiles.load(tmp_path) == kept
    (tmp_path / FILE).write_text('{"ranges": [[{"mode": "sorcery"}]]}')
    with pytest.raises(ArtifactRejected, match="panels"):
        Profiles.load(tmp_path)
