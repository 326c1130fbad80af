"""In vLLM's sparse layer a row does not depend on its neighbours, but under a capacity."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.kernels.moe.vllm_tokens import run

pytestmark = pytest.mark.slow


STRICT: tuple[dict[str, Any], ...] = (
    {},
    {"top_p": 0.6, "null_experts": {"logit": 0.3, "kind": "copy"}, "steering": {"1": 0.1}},
)
CAPACITY: dict[str, Any] = {"capacity": {"factor": 1.0}, "single_tenant": True}


@pytest.fixture(scope="module")
def changed() -> dict[str, int]:
    """How many rows changed under each policy, all in one process: vLLM's import takes 20 s."""
    policies = [json.dumps(policy) for policy in (*STRICT, CAPACITY)]
    said: Any = run("vllm_neighbours", *policies)
    assert {(s["experts"], s["rows"] > 300) for s in said} == {("CollegiumExperts", True)}
    return {policy: s["changed"] for policy, s in zip(policies, said, strict=True)}


@pytest.mark.parametrize("policy", STRICT)
def test_neighbours_change_no_bit(changed: dict[str, int], policy: dict[str, Any]) -> None:
    """Router and experts together: alone, among few, in reverse, and beside 200 copies of a row."""
    assert changed[json.dumps(policy)] == 0


def test_a_capacity_is_seen(changed: dict[str, int]) -> None:
    """The positive control: the comparison would have found it."""
    assert changed[json.dumps(CAPACITY)] > 20
