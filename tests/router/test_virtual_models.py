"""The models that are routed: what they promise, and whom a request for one may reach."""

from __future__ import annotations

from dataclasses import replace

import pytest

from collegium.errors import NoFeasibleExpert
from collegium.registry.expert import Expert
from collegium.router.applications.signals import Signals
from collegium.router.decision import Limits, Query
from collegium.router.virtual_models import (
    BACKGROUND_TRADEOFF,
    VIRTUAL_MODELS,
    eligible,
    unobtrusive,
)
from tests.router.synthetic import POOL, REGISTERED, SQL

OURS = [e.name for e in POOL]
MINE = replace(REGISTERED[0], name="mine")
LORA = replace(SQL, name="my-lora", adapter="/adapters/mine")
EVERYBODY = (*POOL, MINE)


def names(experts: tuple[Expert, ...], model: str = "auto", **limits: tuple[str, ...]) -> list[str]:
    """Who may be asked."""
    query = Query("hello", model, Limits(**limits))  # type: ignore[arg-type]
    return [e.name for e in eligible(experts, query)]


def test_what_is_promised_rises_from_best_to_cheap() -> None:
    """Nothing, one and five points; only `cheap` takes the cheapest of the unmeasured."""
    promised = {name: model.most_loss for name, model in VIRTUAL_MODELS.items()}
    assert promised == {
        "auto": 0.0,
        "collegium/auto": 0.0,
        "collegium/best": 0.0,
        "collegium/balanced": 0.01,
        "collegium/cheap": 0.05,
    }
    first = [name for name, model in VIRTUAL_MODELS.items() if model.cheapest_first]
    assert first == ["collegium/cheap"]


def test_the_demonstration_answers_until_somebody_registers_a_model() -> None:
    """Then it does not, whatever it was measured to do."""
    assert names(POOL) == OURS
    assert names(EVERYBODY) == ["mine"]
    assert names((*POOL, replace(MINE, enabled=False))) == OURS


@pytest.mark.parametrize("model", VIRTUAL_MODELS)
def test_that_holds_for_every_virtual_model(model: str) -> None:
    """The demonstration is cheap, and must not win by that."""
    assert names(EVERYBODY, model) == ["mine"]


def test_an_adapter_of_ones_own_is_no_reason_to_leave_out_the_demonstration() -> None:
    """It runs on the same small model, and was trained to work beside it."""
    assert names((*POOL, LORA)) == [*OURS, "my-lora"]
    assert names((*POOL, LORA, MINE)) == ["my-lora", "mine"]


def test_a_demonstration_expert_can_still_be_named() -> None:
    """Or be the only one that a request allows."""
    assert "sql" in names(EVERYBODY, "sql")
    assert names(EVERYBODY, experts_allow=("sql", "lists")) == ["sql", "lists"]
    with pytest.raises(NoFeasibleExpert, match="leaves only demonstration experts"):
        names(EVERYBODY, experts_deny=("mine",))


def test_a_background_job_is_cheap_unless_the_caller_says_otherwise() -> None:
    """Only of `auto`, and only where no trade-off is set."""
    job = Query("Write a title.", signals=Signals(background="title"))
    assert unobtrusive(job).limits.tradeoff == BACKGROUND_TRADEOFF
    best = replace(job, limits=Limits(tradeoff=0.0))
    assert unobtrusive(best) is best
    named = replace(job, requested_model="collegium/best")
    assert unobtrusive(named) is named
    asked = replace(job, signals=Signals())
    assert unobtrusive(asked) is asked
