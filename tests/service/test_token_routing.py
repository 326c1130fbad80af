"""A sparse expert whose tokens are routed as its owner declares, on the real vLLM."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from collegium.experts.embedded import ensure_base_model
from collegium.settings import load_settings
from tests.running_service import RunningService, running_service

pytestmark = pytest.mark.slow
KEY = "the-administrators-key"


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service without the embedded pool that has two tenants."""
    settings = {
        "COLLEGIUM_EMBEDDED": "false",
        "COLLEGIUM_API_KEY": KEY,
        "COLLEGIUM_CALLER_KEYS": '{"one": "a-key-of-one", "two": "a-key-of-two"}',
    }
    with running_service(tmp_path_factory.mktemp("several"), **settings) as service:
        yield service


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random Mixtral with SmolLM2's tokenizer."""
    import torch
    from transformers import MixtralConfig, MixtralForCausalLM

    base = ensure_base_model(load_settings().cache_dir)
    folder = tmp_path_factory.mktemp("model") / "tiny"
    torch.manual_seed(0)
    config = MixtralConfig(
        vocab_size=json.loads((base / "config.json").read_text())["vocab_size"],
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        num_local_experts=4,
        num_experts_per_tok=2,
        max_position_embeddings=2048,
    )
    model = MixtralForCausalLM(config)  # type: ignore[no-untyped-call]
    model.save_pretrained(folder)
    for file in base.iterdir():
        if "token" in file.name or "template" in file.name:
            shutil.copy(file, folder)
    return folder


def test_a_policy_is_declared_judged_and_counted(several: RunningService, model: Path) -> None:
    """One that lets tenants meet is refused; one that doesn't routes, and is counted."""
    add = ("expert", "add", "mine", "--model-path", str(model), "--token-policy")
    refused = several.cli(*add, '{"capacity": {"factor": 1.0}}')
    assert refused.returncode == 1
    assert "another's answer" in refused.stderr
    assert "single_tenant: true" in refused.stderr
    assert "no engine 'mine'" in several.cli("expert", "tokens", "mine").stderr

    added = several.cli(*add, '{"top_p": 0.5}', "--token-statistics", "--json")
    assert added.returncode == 0, added.stderr
    probe = json.loads(added.stdout)["probe"]
    assert probe["answered"]
    counted = several.counted_tokens("mine")
    assert counted["token_policy"] == {"top_p": 0.5, "statistics": True}
    assert [layer["layer"] for layer in counted["layers"]] == [0, 1]
    for layer in counted["layers"]:
        # Two slots a token; a random gate's best expert has half of the weight of most tokens.
        assert sum(layer["counts"]) + layer["skipped_slots"] == 2 * layer["tokens"]
        assert layer["skipped_slots"] > 0
    assert "entropy" in several.cli("expert", "tokens", "mine").stdout
