"""What operators declare of token routing: checked, told apart by tenants, turned into policies."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from collegium.errors import KernelMisuse, PolicyRefused
from collegium.kernels.moe.policies.declared import policy_of
from collegium.kernels.moe.recording import Recorder
from collegium.kernels.moe.routing import Gating
from collegium.kernels.token_policy import Rules, TokenPolicy, in_engine, parsed

EXPERTS = 6
GATING = Gating(2, renormalise=True)
LOGITS = torch.randn(40, EXPERTS, generator=torch.Generator().manual_seed(0))


def routed(rules: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    found = policy_of(Rules.model_validate(rules), GATING, EXPERTS).route(LOGITS)
    return found.ids, found.weights, found.residual


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"top_k": 3}', "top_k: extra inputs"),
        ('{"top_p": 1.5}', "top_p: input should be less"),
        ('{"layers": {"1": {"single_tenant": true}}}', r"layers\.1\.single_tenant"),
        ("[]", "it: input should be"),
        ("{", "json"),
    ],
)
def test_what_can_t_be_used_is_told(text: str, why: str) -> None:
    """By the place and the reason."""
    with pytest.raises(KernelMisuse, match=why):
        parsed(text)


@pytest.mark.parametrize("where", ["all", "one layer"])
def test_a_capacity_must_be_declared_single_tenant(where: str) -> None:
    """In whichever layer it is; the engine refuses it, too."""
    rules: dict[str, Any] = {"capacity": {"factor": 1.0}}
    policy = rules if where == "all" else {"layers": {"3": rules}}
    assert not TokenPolicy.model_validate(policy).row_local
    with pytest.raises(PolicyRefused, match="single_tenant: true"):
        in_engine({"collegium": {"token_policy": policy}})
    in_engine({"collegium": {"token_policy": {**policy, "single_tenant": True}}})


def test_other_rules_are_row_local() -> None:
    """A layer's rules stand in the place of the general ones."""
    policy = parsed('{"top_p": 0.5, "layers": {"1": {"kept": [0, 1, 2]}}}')
    assert policy.row_local
    assert policy.of(0).top_p == 0.5
    assert policy.of(1) == Rules(kept=(0, 1, 2))
    assert policy.routes
    assert not parsed('{"statistics": true}').routes


def test_no_section_is_no_policy() -> None:
    """vLLM's `additional_config` may be another plugin's."""
    for config in ({}, {"other": 1}, None):
        assert in_engine(config).token_policy is None


def test_a_null_expert_takes_slots_whose_experts_score_less() -> None:
    """With its logit above all it takes a slot of every token; below all, none."""
    ids, weights, _ = routed({"null_experts": {"logit": 9.0}})
    assert (ids == -1).sum(-1).tolist() == [1] * len(LOGITS)
    torch.testing.assert_close(weights.sum(-1), torch.ones(len(LOGITS)))  # renormalised
    assert torch.equal(routed({"null_experts": {"logit": -9.0}})[0], routed({})[0])


def test_a_copying_expert_keeps_its_weight_as_residual() -> None:
    """Residual and weights make one together."""
    ids, weights, residual = routed({"null_experts": {"logit": 0.5, "kind": "copy"}})
    assert residual is not None
    assert 0 < int((residual > 0).sum()) < len(LOGITS)
    assert torch.equal(residual > 0, (ids < 0).any(-1))
    torch.testing.assert_close(weights.sum(-1) + residual, torch.ones(len(LOGITS)))


def test_rules_go_together() -> None:
    """A subset with a null expert and steering: only what is there is chosen."""
    rules = {
        "kept": [1, 4], "substitutes": {"0": 4}, "null_experts": {"logit": 0.2, "count": 2},
        "steering": {"1": 0.3},
    }  # fmt: skip
    ids, _, _ = routed(rules)
    assert set(ids.flatten().tolist()) == {-1, 1, 4}


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ({"steering": {"9": 1.0}}, r"names experts \[9\]; the layer has 6"),
        ({"substitutes": {"1": 2}}, "which are `kept`"),
        ({"kept": [3]}, "fewer experts are left than the 2"),
    ],
)
def test_rules_that_don_t_fit_the_layer_are_refused(rules: dict[str, Any], why: str) -> None:
    """When the model is built, before anyone asks it."""
    with pytest.raises(KernelMisuse, match=why):
        routed(rules)


def test_what_was_added_is_written_whole(tmp_path: Path) -> None:
    """By layer, with the pairs that share most tokens."""
    recorder = Recorder(tmp_path / "engines" / "poet.tokens.json", every_s=3600.0)
    layer = recorder.layer(7, 3)
    ids = torch.tensor([[0, 2], [0, 2], [1, -1]])
    layer.observe(ids, torch.tensor([[0.5, 0.5], [0.5, 0.5], [1.0, 0.0]]))
    writers = [threading.Thread(target=recorder.write) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    recorder.write()
    (found,) = json.loads((tmp_path / "engines" / "poet.tokens.json").read_text())["layers"]
    assert (found["layer"], found["tokens"], found["skipped_slots"]) == (7, 3, 1)
    assert found["counts"] == [2, 1, 2]
    assert found["pairs"] == [[0, 2, 2]]
