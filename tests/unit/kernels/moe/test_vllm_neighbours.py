"""In vLLM's sparse layer a row does not depend on its neighbours, but under a capacity."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.kernels.moe.vllm_tokens import run

pytestmark = pytest.mark.slow


def found(policy: dict[str, Any]) -> dict[str, Any]:
    """What `vllm_neighbours` says of the layer under a policy."""
    said = run("vllm_neighbours", json.dumps(policy))
    assert said["experts"] == "CollegiumExperts"
    assert said["rows"] > 300
    return said


@pytest.mark.parametrize(
    "policy",
    [{}, {"top_p": 0.6, "null_experts": {"logit": 0.3, "kind": "copy"}, "steering": {"1": 0.1}}],
)
def test_neighbours_change_no_bit(policy: dict[str, Any]) -> None:
    """Router and experts together: alone, among few, in reverse, and beside 200 copies of a row."""
    assert found(policy)["changed"] == 0


def test_a_capacity_is_seen() -> None:
    """The positive control: the comparison would have found it."""
    assert found({"capacity": {"factor": 1.0}, "single_tenant": True})["changed"] > 20
