"""vLLM's own selection of kernels takes ours on a GPU, or says why not. No GPU is needed.

vLLM builds its layers as on an H100, and our kernels run in Triton's interpreter. The same passed
once by hand with the Python code of vLLM 0.33.0's CUDA wheel in front of the installed one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[3]
OURS, VLLMS = "CollegiumTritonExperts", "TritonExperts"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Everything, out of one process."""
    folder = tmp_path_factory.mktemp("gpu")
    switches = {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1", "VLLM_PLUGINS": ""}
    switches["COLLEGIUM_CACHE_DIR"] = str(folder / "cache")
    done = subprocess.run(
        [sys.executable, "-m", "tests.kernels.moe.vllm_gpu_interpreted", str(folder)],
        env=os.environ | switches,
        cwd=ROOT, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    read: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return read


def test_a_layer_is_computed_in_each_type(found: dict[str, Any]) -> None:
    """As plain torch does in float64."""
    errors = found["plain"]
    assert errors["torch.float32"] < 1e-5
    assert errors["torch.float16"] < 2e-3
    assert errors["torch.bfloat16"] < 2e-2


def test_policies_route_as_the_librarys(found: dict[str, Any]) -> None:
    """All kinds of rules, a model with groups, bias and scale, and one layer's own rules."""
    assert len(found["policies"]) == 7
    assert max(found["policies"].values()) < 2e-2


def test_tokens_are_counted_and_padding_is_not(found: dict[str, Any]) -> None:
    """Of two batches of 8 tokens and 3 rows of padding; vLLM's trial runs don't count."""
    assert found["statistics"] == {"tokens": 16, "counts_agree": True, "skipped": True}


def test_what_is_not_ours_is_left_with_its_reason(found: dict[str, Any]) -> None:
    """And an engine whose policy would be ignored does not start."""
    said = found["refusals"]
    assert said["biases"] == "experts have biases"
    assert "LoRA" in said["lora"]
    assert "limit or a slope" in said["limit"]
    assert said["backend"] == "--moe-backend asks for triton"
    assert said["type"] == "activations are torch.float64"
    assert said["activation"] == VLLMS
    assert "don't take this layer: kernel does not support" in said["policy, activation"]
    assert "routing function of its own" in said["policy, routing"]
    assert "--enforce-eager" in said["capacity"]
    assert said["wrong"].startswith("COLLEGIUM_MOE=force, but Collegium's Triton kernels are wrong")


def test_the_log_counts_the_layers_that_are_left_to_vllm(found: dict[str, Any]) -> None:
    """One line for each reason, of quantised layers, too; nothing of the layer that is ours."""
    quantised, activation = found["told"]
    kind = "weights are quantised, or vLLM's own (Int5MoEMethod)"
    assert quantised == f"Collegium's kernels leave 2 sparse layer(s) to vLLM: {kind}"
    assert activation.startswith("Collegium's kernels leave 1 sparse layer(s) to vLLM: kernel does")


def test_auto_takes_what_was_measured_and_is_right(found: dict[str, Any]) -> None:
    """Never a layer that was not measured on the card, is slower there, or fails its check."""
    assert found["auto"] == {"unmeasured": VLLMS, "slower": VLLMS, "faster": OURS, "wrong": VLLMS}
