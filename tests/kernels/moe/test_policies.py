"""Routing policies: each does what it says, and those that call themselves row-local are."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from collegium.errors import KernelMisuse, PolicyRefused
from collegium.kernels.moe.policies import (
    Capacity,
    NullExperts,
    Policy,
    Subset,
    TopK,
    require_row_local,
)
from collegium.kernels.moe.routing import Gating, Scoring

EXPERTS = 8
PLAIN = TopK(Gating(2, renormalise=True))
BIASED = TopK(Gating(3, Scoring.SIGMOID, scale=2.5), bias=torch.linspace(-1, 1, EXPERTS))
ROW_LOCAL: dict[str, Policy] = {
    "top-k": PLAIN,
    "biased sigmoid": BIASED,
    "groups": TopK(Gating(2, Scoring.SQRT_SOFTPLUS, groups=4, top_groups=2)),
    "top-p": TopK(Gating(4, top_p=0.6)),
    "steered": TopK(Gating(2), steering=torch.linspace(0, 0.2, EXPERTS)),
    "subset": Subset(BIASED, (1, 4, 6), {0: 4}),
    "null": NullExperts(PLAIN, real=5, kind="copy"),
}


def logits(tokens: int = 40, seed: int = 0) -> Tensor:
    drawn = torch.randn(tokens, EXPERTS, generator=torch.Generator().manual_seed(seed))
    drawn[::7] = drawn[::7].round()  # forced ties
    return drawn


def changes_with_neighbours(policy: Policy) -> bool:
    """Whether any row is routed otherwise alone, in a subset, or among hostile neighbours."""
    rows = logits()
    whole = policy.route(rows)
    hostile = torch.cat([rows[3:4].expand(200, -1), rows[3:4]])
    parts: list[tuple[Tensor, Tensor]] = [
        *((rows[i : i + 1], torch.tensor([i])) for i in range(len(rows))),
        (rows.flip(0), torch.arange(len(rows) - 1, -1, -1)),
        (hostile, torch.full((201,), 3)),
    ]
    for part, numbers in parts:
        alone = policy.route(part)
        same = torch.equal(alone.ids, whole.ids[numbers])
        # torch's own sigmoid rounds the end of a tensor otherwise than its middle: 1 bit.
        same &= torch.allclose(alone.weights, whole.weights[numbers], rtol=3e-7, atol=0)
        if whole.residual is not None and alone.residual is not None:
            same &= torch.allclose(alone.residual, whole.residual[numbers], rtol=3e-7, atol=0)
        if not same:
            return True
    return False


@pytest.mark.parametrize("name", ROW_LOCAL)
def test_row_local_policies_do_not_see_neighbours(name: str) -> None:
    """A request's experts do not depend on who else is in the batch."""
    policy = ROW_LOCAL[name]

    assert policy.row_local
    assert not changes_with_neighbours(policy)


@pytest.mark.parametrize("reroute", [False, True])
def test_the_test_can_see_a_capacity_attack(reroute: bool) -> None:
    """The positive control: neighbours displace a row's experts, and the policy says so."""
    policy = Capacity(PLAIN, factor=1.0, reroute=reroute)

    assert not policy.row_local
    assert changes_with_neighbours(policy)


def test_several_tenants_get_row_local_policies_only() -> None:
    """The refusal names the policy; one tenant may do what it likes."""
    policy = Capacity(PLAIN)
    with pytest.raises(PolicyRefused, match=r"Capacity.*single-tenant"):
        require_row_local(policy, single_tenant=False)
    require_row_local(policy, single_tenant=True)
    require_row_local(PLAIN, single_tenant=False)


def test_capacity_holds_and_rerouted_slots_find_room() -> None:
    """No expert has more than its share; rerouting loses no slot that has a place."""
    rows = torch.zeros(16, EXPERTS) - torch.arange(EXPERTS)  # everyone wants experts 0 and 1
    dropped = Capacity(PLAIN, factor=1.0).route(rows)
    moved = Capacity(PLAIN, factor=1.0, reroute=True).route(rows)

    assert (dropped.ids >= 0).sum() == 8  # 4 slots each of two experts
    assert (dropped.weights[dropped.ids < 0] == 0).all()
    assert torch.bincount(moved.ids.flatten().long(), minlength=EXPERTS).tolist() == [4] * 8
    assert all(len(set(row)) == 2 for row in moved.ids.tolist())


def test_steering_changes_who_is_chosen_but_not_the_weights() -> None:
    """A steered expert is chosen with the weight that its own score gives it."""
    rows = logits()
    steering = torch.zeros(EXPERTS)
    steering[5] = 10.0
    routed = TopK(Gating(2), steering=steering).route(rows)

    assert (routed.ids[:, 0] == 5).all()
    torch.testing.assert_close(routed.weights[:, 0], torch.softmax(rows, -1)[:, 5])


def test_steering_of_the_wrong_size_is_refused() -> None:
    """One number an expert."""
    with pytest.raises(KernelMisuse, match="steering must be"):
        TopK(Gating(2), steering=torch.zeros(3)).route(logits())


def test_a_subset_uses_the_next_best_and_substitutes() -> None:
    """Like a gate that never had the absent experts, but for those with a substitute."""
    rows = logits()
    kept = (1, 4, 6)
    found = Subset(TopK(Gating(2)), kept, compact=True).route(rows)
    wanted = TopK(Gating(2)).route(rows[:, list(kept)])
    replaced = Subset(TopK(Gating(1)), (1, 4), {0: 4}).route(-torch.arange(8.0)[None])

    assert torch.equal(found.ids, wanted.ids)
    torch.testing.assert_close(found.weights, wanted.weights)
    assert replaced.ids.tolist() == [[4]]  # the best, 0, is absent: 4 stands in


def test_fewer_experts_than_slots_leave_slots_empty() -> None:
    """An absent expert is never computed, even when nothing else is left."""
    routed = Subset(BIASED, (2, 3)).route(logits())

    assert set(routed.ids.flatten().tolist()) == {-1, 2, 3}
    assert (routed.weights[routed.ids < 0] == 0).all()


@pytest.mark.parametrize("kept", [(), (1, 2)])
def test_substitutes_must_be_there(kept: tuple[int, ...]) -> None:
    """An expert that is absent can't stand in for another."""
    with pytest.raises(KernelMisuse, match="substitutes"):
        Subset(PLAIN, kept, {0: 7})


def test_null_experts_skip_or_copy() -> None:
    """A slot of a null expert is skipped; copying ones add their weight of the input."""
    rows = torch.full((1, EXPERTS), -9.0)
    rows[0, 2], rows[0, 6] = 1.0, 2.0  # 6 is null
    zero = NullExperts(PLAIN, real=5, renormalise=True).route(rows)
    copy = NullExperts(PLAIN, real=5, kind="copy").route(rows)

    assert zero.ids.tolist() == copy.ids.tolist() == [[-1, 2]]
    torch.testing.assert_close(zero.weights, torch.tensor([[0.0, 1.0]]))
    assert copy.residual is not None
    torch.testing.assert_close(copy.residual, torch.softmax(torch.tensor([2.0, 1.0]), 0)[:1])
    torch.testing.assert_close(copy.residual + copy.weights.sum(-1), torch.ones(1))


def test_top_p_keeps_what_is_needed() -> None:
    """The best slots until they have the share of the mass, never none."""
    routed = ROW_LOCAL["top-p"].route(logits())
    full = TopK(Gating(4)).route(logits())
    kept = routed.ids >= 0

    assert kept[:, 0].all()
    assert 0 < int(kept.sum()) < kept.numel()
    share = (full.weights * kept).sum(-1) / full.weights.sum(-1)
    assert (share >= 0.6 - 1e-6).all()
