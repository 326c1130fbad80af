"""Options of vLLM: which are passed on, and that they and our command lines are vLLM's own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from collegium.experts.engine_flags import (
    FORM,
    UNKNOWN,
    passed_options,
    refused_flags,
    refused_options,
    value_of,
)
from collegium.experts.model_families import CALLS, FAMILIES, USUAL_TOOLS
from collegium.experts.placement.plan import Placement
from collegium.experts.vllm import IN_FLOAT32, EngineSpec, command, cpu_dtype
from collegium.registry.engine import Engine

PARSER = Path(__file__).with_name("vllm_parser.py")
ON_GPUS = Placement("big", (2, 3), gib=30.0, kv_gib=12.5, utilization=0.375)


QUANTISED = {
    "awq": {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True},
    "gptq": {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": False},
    "fp8": {"quant_method": "fp8", "activation_scheme": "dynamic"},
    "compressed-tensors": {"quant_method": "compressed-tensors", "config_groups": {}},
}
"""Parts of checkpoints' `config.json`."""


def checkpoint(folder: Path, **more: Any) -> Path:
    """A model's folder, as far as a command line depends on it."""
    folder.mkdir()
    config = {"model_type": "qwen3", "dtype": "bfloat16", **more}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "chat_template.jinja").write_text("{% if enable_thinking %}<tool_call>{% endif %}")
    return folder


def specs(folder: Path) -> dict[str, EngineSpec]:
    """Engines on a processor and on GPUs, with adapters, sleep, and options of the owner's."""
    flags = (
        "--kv-cache-dtype=fp8 --max-lora-rank=64 --spec-method=ngram --spec-tokens=4 "
        "'--hf-overrides={\"rope_theta\": 10000}' --no-enforce-eager"
    )
    common: dict[str, Any] = {"model_path": str(checkpoint(folder / "model")), "context": 4096}
    large = Engine(name="big", lora_slots=4, sleep_level=1, flags=flags, **common)
    drafted = f"--spec-method=eagle3 --spec-model={folder / 'model'} --spec-tokens=3"
    found = {
        "small": EngineSpec(Engine(name="small", **common)),
        "big": EngineSpec(large, placement=ON_GPUS, capability=(9, 0)),
        "drafted": EngineSpec(Engine(name="drafted", flags=drafted, **common), capability=(9, 0)),
    }
    for method, section in QUANTISED.items():
        path = checkpoint(folder / method, quantization_config=section, dtype="float16")
        engine = Engine(name=method, model_path=str(path), context=4096)
        found |= {method: EngineSpec(engine, placement=ON_GPUS, capability=(8, 0))}
    return found


@pytest.fixture(scope="module")
def vllm(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Its options and parsers, and what it understands of our command lines.

    It is asked once: importing it takes about 10 s.
    """
    engines = specs(tmp_path_factory.mktemp("models"))
    lines = [json.dumps(command(spec, 4321)[8:]) for spec in engines.values()]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(PARSER)],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told, *understood = map(json.loads, done.stdout.splitlines())
    return {**told, "understood": dict(zip(engines, understood, strict=True))}


@pytest.mark.slow
def test_every_option_of_vllm_is_passed_on_or_refused(vllm: dict[str, Any]) -> None:
    """With a reason; none is both. We know some more, for we know two versions."""
    assert set(vllm["options"]) <= passed_options() | refused_options().keys()
    assert not passed_options() & refused_options().keys()


@pytest.mark.slow
def test_vllm_has_the_parsers_of_every_family(vllm: dict[str, Any]) -> None:
    """By name."""
    tools = {p.tools for p in FAMILIES.values() if p.tools} | {name for _, name in CALLS}
    assert tools | {USUAL_TOOLS} <= set(vllm["tools"])
    assert {p.reasoning for p in FAMILIES.values() if p.reasoning} <= set(vllm["reasoning"])


@pytest.mark.slow
def test_vllm_understands_our_command_lines(vllm: dict[str, Any]) -> None:
    """Every value that is to reach it."""
    small, on_gpus = vllm["understood"]["small"], vllm["understood"]["big"]
    assert small["model"].endswith("/model")
    assert (small["port"], small["enforce_eager"]) == (4321, True)
    assert (small["tool_call_parser"], small["reasoning_parser"]) == ("hermes", "qwen3")
    assert (small["load_format"], small["tensor_parallel_size"]) == ("safetensors", 1)
    assert (on_gpus["enforce_eager"], on_gpus["dtype"]) == (False, "bfloat16")
    assert on_gpus["tensor_parallel_size"] == 2
    assert on_gpus["gpu_memory_utilization"] == 0.375
    assert on_gpus["kv_cache_memory_bytes"] == int(12.5 * 2**30)
    assert (on_gpus["enable_lora"], on_gpus["max_loras"], on_gpus["max_lora_rank"]) == (True, 4, 64)
    assert (on_gpus["enable_sleep_mode"], on_gpus["kv_cache_dtype"]) == (True, "fp8")
    assert (on_gpus["spec_method"], on_gpus["spec_tokens"]) == ("ngram", 4)
    assert on_gpus["hf_overrides"] == {"rope_theta": 10000}
    drafted = vllm["understood"]["drafted"]
    assert (drafted["spec_method"], drafted["spec_tokens"]) == ("eagle3", 3)
    assert drafted["spec_model"] == small["model"]


@pytest.mark.slow
@pytest.mark.parametrize("method", QUANTISED)
def test_vllm_understands_the_command_lines_of_quantised_checkpoints(
    method: str, vllm: dict[str, Any]
) -> None:
    """It reads the method from the checkpoint, whose activations keep their 16 bits."""
    found = vllm["understood"][method]
    assert (found["quantization"], found["dtype"]) == (None, "float16")
    assert (found["load_format"], found["tensor_parallel_size"]) == ("safetensors", 2)


@pytest.mark.slow
def test_what_vllm_computes_in_float32_is_known(vllm: dict[str, Any]) -> None:
    """Everything else needs 16 bits, on a processor, too."""
    assert set(vllm["float32"]) == set(IN_FLOAT32)


@pytest.mark.parametrize(
    ("stored", "section", "dtype"),
    [
        ("bfloat16", None, "float32"),
        ("bfloat16", QUANTISED["compressed-tensors"], "float32"),
        ("float16", QUANTISED["awq"], "float16"),
        ("bfloat16", QUANTISED["gptq"], "bfloat16"),
        ("float32", QUANTISED["fp8"], "bfloat16"),
    ],
)
def test_quantised_weights_are_not_computed_in_float32_where_vllm_refuses_that(
    stored: str, section: Any, dtype: str, tmp_path: Path
) -> None:
    """On processors with AVX2 only, where float32 is the fastest."""
    folder = checkpoint(tmp_path / "model", dtype=stored, quantization_config=section)
    assert cpu_dtype(folder, "float32") == dtype
    assert cpu_dtype(folder, "bfloat16") == "bfloat16"


@pytest.mark.parametrize(
    "flag",
    [
        "--seed=1",
        "--enable-prefix-caching",
        "--no-enable-chunked-prefill",
        "--disable-chunked-prefill",
        "--spec-method=ngram",
        "--spec_tokens=4",
        "--hf-overrides.rope_theta=10000",
        "--quantization=fp8",
        "--reasoning-parser=",
    ],
)
def test_options_that_name_no_code_are_passed_on(flag: str) -> None:
    """In any spelling that vLLM knows."""
    assert refused_flags([flag]) == {}


@pytest.mark.parametrize(
    ("flag", "why"),
    [
        ("--worker-cls=my.Worker", "code"),
        ("--worker_cls=my.Worker", "code"),
        ("--middleware=my.App", "code"),
        ("--tool-parser-plugin=/tmp/p.py", "code"),
        ("--trust-remote-code", "code"),
        ("--kv-transfer-config.kv_connector_module_path=my", "code"),
        ("--compilation-config={}", "code"),
        ("--spec-method=custom_class", "Python class"),
        ("--spec-model=my.Proposer", "folder"),
        ("--speculative-config={}", "--spec-method"),
        ("--load-format=pt", "hold code"),
        ("--enable-prompt-embeds", "hold code"),
        ("--model=/other", "file, a folder or a model"),
        ("--chat-template=/etc/passwd", "file, a folder or a model"),
        ("--host=0.0.0.0", "listens"),
        ("--enable-log-requests", "prompts"),
        ("--max-num-seqs=4", "expert add"),
        ("--no-such-thing", UNKNOWN),
        ("--worker-c=my.Worker", UNKNOWN),
        ("-tp=2", FORM),
        ("serve", FORM),
    ],
)
def test_other_options_are_refused_with_a_reason(flag: str, why: str) -> None:
    """Also where they are abbreviated, dotted or spelt with underscores."""
    assert why in refused_flags([flag])[flag]


def test_a_draft_model_has_safe_weights(tmp_path: Path) -> None:
    """As the model itself."""
    (tmp_path / "config.json").write_text("{}")
    flag = f"--spec-model={tmp_path}"
    assert "pickles" in refused_flags([flag])[flag]
    (tmp_path / "model.safetensors").touch()
    assert refused_flags([flag]) == {}


def test_the_last_value_of_an_option_counts() -> None:
    """As in vLLM."""
    flags = ["--max-lora-rank=16", "--seed=1", "--max_lora_rank=32"]
    assert value_of(flags, "max-lora-rank") == "32"
    assert value_of(flags, "block-size") is None
