"""The bench of sparse models in vLLM: real engines that take turns, on a tiny model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from collegium.errors import SetupError
from collegium.evals.bench.sparse.engine import Workload
from collegium.evals.bench.sparse.models import found, olmoe
from collegium.evals.bench.sparse.run import Model, Plan, Variant, bench_sparse, engine, variants

TINY = (Workload("prefill", 2, 24, 1), Workload("decode", 2, 4, 8))


@pytest.fixture
def tiny(tmp_path: Path) -> Model:
    """A small OLMoE of random weights."""
    from transformers import OlmoeConfig

    config = OlmoeConfig(
        architectures=["OlmoeForCausalLM"], hidden_size=128, intermediate_size=64,
        num_attention_heads=4, num_key_value_heads=4, num_experts=8, num_experts_per_tok=2,
        num_hidden_layers=2, vocab_size=256, max_position_embeddings=128,
    )  # fmt: skip
    config.save_pretrained(tmp_path / "tiny")
    return Model("tiny", tmp_path / "tiny", dummy=True)


@pytest.mark.slow
def test_engines_with_both_kernels_take_turns(tiny: Model) -> None:
    """Each with its own experts; zentorch's is left out by name where vLLM does not use it."""
    absent = Variant("vllm, zentorch", "off", tiny.folder)  # no zentorch is in that folder
    plan = Plan([tiny], [*variants(None), absent], rounds=2, workloads=TINY)
    report = bench_sparse(plan, command="test", progress=False)

    # Stock's class is another one with AMX.
    assert [(r.workload, r.variant, "CPUUnquantized" in r.experts) for r in report.rates] == [
        ("prefill", "vllm", True),
        ("prefill", "ours", False),
        ("decode", "vllm", True),
        ("decode", "ours", False),
    ]
    assert {r.experts for r in report.rates if r.variant == "ours"} == {"CollegiumExperts"}
    assert {r.ratio for r in report.rates if r.variant == "vllm"} == {1.0}
    assert all(rate.tokens_s > 0 for rate in report.rates)
    assert "AMD" in report.left_out["tiny: vllm, zentorch"]


@pytest.mark.slow
def test_an_engine_that_ends_is_told_with_its_error(tmp_path: Path) -> None:
    """Else one would look for it in a log that is gone. Its message has a second line."""
    (tmp_path / "config.json").write_text("{}")
    plan = Plan([Model("broken", tmp_path)], [Variant("vllm", "off")], rounds=2, workloads=TINY)
    why = "no engine serves broken: .*ValidationError: 1 validation .* Should have a `model_type`"
    with pytest.raises(SetupError, match=why):
        bench_sparse(plan, command="test", progress=False)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (
            "import atexit\n"
            "atexit.register(print, 'WARNING [bar.py:3] ignoring ValueError: x', file=sys.stderr)\n"
            "raise ImportError('these kernels are for another torch')",
            "its engine ended: ImportError: these kernels are for another torch",
        ),
        ("sys.exit('out of luck')", "its engine ended: out of luck"),
        ("sys.exit()", "its engine ended: it said nothing"),
    ],
)
def test_what_is_logged_after_an_error_does_not_hide_it(
    tmp_path: Path, code: str, told: str
) -> None:
    """The engine's own process, which finds a vLLM that ends it; without an error, what it said."""
    (tmp_path / "vllm.py").write_text(f"import sys\n{code}\n")
    with (
        pytest.raises(SetupError) as caught,
        engine(Model("any", tmp_path), Variant("ours", "force", tmp_path), TINY),
    ):
        pass
    assert str(caught.value) == told


def test_models_are_named_or_in_a_folder(tmp_path: Path) -> None:
    """Anything else is told before an engine starts; OLMoE's layers are the real ones' size."""
    made = olmoe(2, tmp_path / "olmoe")
    told = json.loads((made.folder / "config.json").read_text())

    assert (told["hidden_size"], told["num_experts"], told["num_hidden_layers"]) == (2048, 64, 2)
    assert found(str(made.folder), 1, tmp_path, tmp_path, print).folder == made.folder
    with pytest.raises(SetupError, match="mixture, olmoe or a model's folder"):
        found("mixtrul", 1, tmp_path, tmp_path, print)


def test_a_rate_is_of_the_tokens_that_the_work_is_about() -> None:
    """Prompts where one token is answered, else answers."""
    assert [work.counted for work in TINY] == [48, 16]


def test_zentorch_doubles_the_engines(tmp_path: Path) -> None:
    """Both kernels with it and without."""
    names = [(v.name, v.switch) for v in variants(tmp_path)]
    assert names[2:] == [("vllm, zentorch", "off"), ("ours, zentorch", "force")]
    assert len(variants(None)) == 2
