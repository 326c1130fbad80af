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
from collegium.experts.vllm import EngineSpec, command
from collegium.registry.engine import Engine

PARSER = Path(__file__).with_name("vllm_parser.py")
ON_GPUS = Placement("big", (2, 3), gib=30.0, kv_gib=12.5, utilization=0.375)


def asked(what: str, *lines: list[str]) -> str:
    """What the parser of the installed build answers."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(PARSER), what],
        input="\n".join(map(json.dumps, lines)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def vllm() -> dict[str, list[str]]:
    """Its options and parsers; importing it takes about 10 s."""
    found: dict[str, list[str]] = json.loads(asked("options"))
    return found


@pytest.mark.slow
def test_every_option_of_vllm_is_passed_on_or_refused(vllm: dict[str, list[str]]) -> None:
    """With a reason; none is both. We know some more, for we know two versions."""
    assert set(vllm["options"]) <= passed_options() | refused_options().keys()
    assert not passed_options() & refused_options().keys()


@pytest.mark.slow
def test_vllm_has_the_parsers_of_every_family(vllm: dict[str, list[str]]) -> None:
    """By name."""
    tools = {p.tools for p in FAMILIES.values() if p.tools} | {name for _, name in CALLS}
    assert tools | {USUAL_TOOLS} <= set(vllm["tools"])
    assert {p.reasoning for p in FAMILIES.values() if p.reasoning} <= set(vllm["reasoning"])


@pytest.mark.slow
def test_vllm_understands_our_command_lines(tmp_path: Path) -> None:
    """On a processor and on GPUs, with adapters, sleep, and options of the owner's."""
    folder = tmp_path / "model"
    folder.mkdir()
    config = {"model_type": "qwen3", "dtype": "bfloat16"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "chat_template.jinja").write_text("{% if enable_thinking %}<tool_call>{% endif %}")
    flags = (
        "--kv-cache-dtype=fp8 --max-lora-rank=64 --spec-method=ngram --spec-tokens=4 "
        "'--hf-overrides={\"rope_theta\": 10000}' --no-enforce-eager"
    )
    common: dict[str, Any] = {"model_path": str(folder), "context": 4096}
    plain = EngineSpec(Engine(name="small", **common))
    large = Engine(name="big", lora_slots=4, sleep_level=1, flags=flags, **common)
    big = EngineSpec(large, placement=ON_GPUS, capability=(9, 0))
    lines = [command(spec, 4321)[8:] for spec in (plain, big)]
    small, on_gpus = map(json.loads, asked("parse", *lines).splitlines())
    assert (small["model"], small["port"], small["enforce_eager"]) == (str(folder), 4321, True)
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
