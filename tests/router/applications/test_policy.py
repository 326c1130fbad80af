"""What an application's rules make of a query."""

from __future__ import annotations

from typing import Any

import pytest

from collegium.errors import NoFeasibleExpert
from collegium.router.applications.policy import Policy
from collegium.router.decision import Limits, Query
from tests.router.synthetic import POOL


def applied(policy: Policy, model: str = "auto", **limits: Any) -> Limits:
    """The limits of a query after the policy."""
    return policy.applied(Query("text", model, Limits(**limits)), POOL).limits


def test_the_trade_off_is_for_auto_without_one() -> None:
    """Other names and requests say it themselves."""
    policy = Policy(tradeoff=5.0)
    assert applied(policy).tradeoff == 5.0
    assert applied(policy, tradeoff=1.0).tradeoff == 1.0
    assert applied(policy, "collegium/cheap").tradeoff is None


@pytest.mark.parametrize(
    ("own", "asked", "holds"), [(1.0, None, 1.0), (1.0, 0.5, 0.5), (1.0, 2.0, 1.0)]
)
def test_the_lower_cost_holds(own: float, asked: float | None, holds: float) -> None:
    """A request can narrow what its application allows, never widen it."""
    assert applied(Policy(max_cost_usd=own), max_cost_usd=asked).max_cost_usd == holds


def test_rules_about_experts_add_to_the_requests() -> None:
    """What either excludes is excluded."""
    names = [e.name for e in POOL]
    policy = Policy(experts_allow=tuple(names[:2]))
    assert applied(policy, experts_deny=(names[0],)).experts_deny == tuple(
        sorted({names[0], *names[2:]})
    )


def test_names_of_experts_that_are_gone_do_no_harm() -> None:
    """A policy outlives them."""
    assert applied(Policy(experts_deny=("gone",))).experts_deny == ()


def test_nobody_left_is_told_with_the_application() -> None:
    """Also where the expert was named."""
    with pytest.raises(NoFeasibleExpert, match="leaves no expert"):
        applied(Policy(required_tags=("eu",)))
    with pytest.raises(NoFeasibleExpert, match="excludes the expert"):
        applied(Policy(experts_deny=(POOL[0].name,)), POOL[0].name)


def test_fields_of_another_version_are_passed_over() -> None:
    """What is kept is read by older and newer services."""
    kept = {"tradeoff": 2.0, "experts_deny": ["a"], "later": 1}
    assert Policy.of(kept) == Policy(tradeoff=2.0, experts_deny=("a",))
