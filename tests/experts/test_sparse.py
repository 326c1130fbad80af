"""The sparse mixture: composed as it was trained, and started only where there is room."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from pydantic import SecretStr
from safetensors.torch import load_file, save_file

from collegium.errors import SetupError
from collegium.evals.tasks import TASKS
from collegium.evals.training.sparse import small_talk
from collegium.evals.training.sparse.judging import summary
from collegium.evals.training.sparse.mixture import mix, top_weights, trained
from collegium.experts.configured import sparse_spec
from collegium.experts.roster import MIXTURE
from collegium.experts.sparse import MEMBERS
from collegium.experts.sparse.composing import compose
from collegium.experts.sparse.engine import lacking_memory, mixture
from collegium.experts.sparse.model import GATES, parts
from collegium.experts.vllm import command
from collegium.settings import load_settings
from tests.experts.sparse_parts import RANK, adapter, llama


@pytest.mark.filterwarnings("ignore")  # of transformers while loading
def test_the_composed_model_computes_what_was_trained(tmp_path: Path) -> None:
    """Merged experts in Mixtral's layout give the training mixture's logits."""
    from transformers import AutoModelForCausalLM

    base, composed = tmp_path / "base", tmp_path / "composed"
    composed.mkdir()
    model = llama(base)
    adapters = [adapter(tmp_path / str(seed), seed) for seed in range(3)]
    mix(model, adapters, RANK)
    with torch.no_grad():
        for weight in dict(trained(model)).values():
            weight.copy_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(7)) / 3)
    save_file({n: w.detach().clone() for n, w in trained(model)}, tmp_path / "gates.safetensors")

    compose(base, tmp_path / "gates.safetensors", adapters, composed)
    served = AutoModelForCausalLM.from_pretrained(composed, dtype=torch.float32)
    tokens = torch.tensor([[3, 9, 27, 11, 40, 2]])
    with torch.inference_mode():
        wanted, found = model(tokens).logits, served(tokens).logits

    assert served.config.num_local_experts == 4
    assert float(wanted.std()) > 0.1
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_a_token_has_two_experts_whose_weights_sum_to_one() -> None:
    """Mixtral's rule: softmax over the best two logits."""
    weights, experts = top_weights(torch.tensor([[0.0, 2.0, 1.0, -1.0]]))

    assert experts.tolist() == [[1, 2]]
    torch.testing.assert_close(weights[0], torch.softmax(torch.tensor([2.0, 1.0]), 0))


def test_the_committed_gates_fit_the_embedded_model() -> None:
    """A gate for every member in each of the 30 layers, and less than 2 MB in all."""
    weights = load_file(GATES)

    gates = [name for name in weights if name.endswith(".gate")]
    assert len(gates) == 30
    assert {weights[name].shape for name in gates} == {(len(MEMBERS), 576)}
    assert GATES.stat().st_size < 2_000_000


def test_other_parts_are_another_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The cache is made anew when the gates change."""
    before = parts()
    changed = tmp_path / "gates.safetensors"
    changed.write_bytes(GATES.read_bytes() + b" ")
    monkeypatch.setattr("collegium.experts.sparse.model.GATES", changed)

    assert parts() != before


def test_small_talk_for_the_test_is_never_trained() -> None:
    """Other frames, so other prompts."""
    train = small_talk.prompts(100)

    assert len(set(train)) == 100
    assert not set(train) & set(small_talk.prompts(30, test=True))


def test_the_engine_starts_only_where_memory_is_free(tmp_path: Path) -> None:
    """What is free and what is needed is said in GiB."""
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 8000000 kB\nMemAvailable:    2097152 kB\n")
    assert lacking_memory(meminfo) == "2.0 GiB of memory are free, and it needs 4"
    meminfo.write_text("MemAvailable:    6291456 kB\n")
    assert lacking_memory(meminfo) is None
    assert lacking_memory(tmp_path / "not there") is None


def test_the_mixture_has_an_engine_without_adapters(tmp_path: Path) -> None:
    """One more engine, one more expert that the router does not send queries to by itself."""
    spec = sparse_spec(load_settings(cache_dir=tmp_path))
    expert = mixture(1024)

    assert "--enable-lora" not in command(spec, 1)
    assert (expert.engine, expert.model) == (spec.name, spec.served_name)
    assert expert.name == MIXTURE
    assert not expert.skills


def test_the_mixtures_tokens_are_routed_as_the_settings_say(tmp_path: Path) -> None:
    """Its engine gets the policy; one that lets tenants meet stops the start, with the reason."""
    given = load_settings(cache_dir=tmp_path, sparse_token_policy={"top_p": 0.7})
    assert '"token_policy": {"top_p": 0.7}' in " ".join(command(sparse_spec(given), 1))

    crowded = load_settings(
        sparse_token_policy={"capacity": {"factor": 1.0}}, api_key=SecretStr("a-long-secret")
    )
    with pytest.raises(SetupError, match=r"sparse_token_policy: a capacity .*single_tenant: true"):
        sparse_spec(crowded)
    misspelt = load_settings(sparse_token_policy={"topp": 0.7})
    with pytest.raises(SetupError, match=r"sparse_token_policy: .*topp"):
        sparse_spec(misspelt)


def test_accuracy_comes_with_an_interval() -> None:
    """Wilson's, of all questions: 55 of 100 are between 45 and 64 %."""
    found = summary({"labels": 40, "sql": 15}, 50)

    assert found["tasks"] == {"labels": 0.8, "sql": 0.3}
    assert found["all"] == 0.55
    assert found["interval"] == pytest.approx([0.452, 0.644], abs=1e-3)


@pytest.mark.slow
def test_the_mixture_is_judged_through_vllm() -> None:
    """The command loads the composed model into vLLM, which names most labels right."""
    command = [sys.executable, "-m", "collegium", "eval", "sparse", "--questions", "2"]
    told = [*command, "--split", "validation", "--json"]
    done = subprocess.run(told, capture_output=True, text=True, timeout=600, check=False)

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found["tasks"]) == set(TASKS)
    assert found["tasks"]["labels"] >= 0.5
