"""Check whether an engine may use its token policy, and for which tenants."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from collegium.errors import KernelMisuse, ProbeFailed
from collegium.kernels.token_policy import TokenPolicy, parsed
from collegium.kernels.vllm_plugin import MOE_SWITCH, moe_switch
from collegium.registry.engine import Engine

EXPERT_COUNTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
"""Names of the number of experts in configurations of sparse models."""


def policy_for(engine: Engine, *, several_tenants: bool) -> TokenPolicy | None:
    """The engine's policy, if it has one; ProbeFailed says why it can't be had.

    With several tenants one that is not row-local must be declared single-tenant by hand; a service
    with one tenant declares it itself.
    """
    if engine.token_policy is None:
        return None
    policy = allowed(engine.token_policy, several_tenants=several_tenants)
    if not is_sparse(Path(engine.model_path)):
        raise ProbeFailed(
            "a token policy needs a sparse model; this one's config.json has no experts"
        )
    return policy


def allowed(given: Mapping[str, Any], *, several_tenants: bool) -> TokenPolicy:
    """The policy that is declared so, if it may be had here; ProbeFailed says why not."""
    try:
        policy = parsed(json.dumps(given))
        if several_tenants:
            policy.require_tenants()
    except KernelMisuse as exc:
        why = " (with an api_key there may be several callers)" if several_tenants else ""
        raise ProbeFailed(f"{exc}{why}") from exc
    if moe_switch() == "off":
        raise ProbeFailed(f"a token policy needs Collegium's kernels, and {MOE_SWITCH} is off")
    return policy if policy.row_local else policy.model_copy(update={"single_tenant": True})


def is_sparse(folder: Path) -> bool:
    """Whether a model's configuration names a number of experts."""
    config = json.loads((folder / "config.json").read_text())
    parts = [config, config.get("text_config") or {}]
    return any(part.get(name) for part in parts for name in EXPERT_COUNTS)
