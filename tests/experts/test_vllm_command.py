"""How a vLLM server is started: what its command line and its environment say."""

from __future__ import annotations

import json
import os
import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from collegium.experts.vllm import EngineSpec, command, environment, free_port, is_taken
from collegium.kernels.token_policy import TokenPolicy, in_engine
from collegium.registry.engine import Engine

ENGINE = Engine(
    name="embedded",
    model_path="models/base",
    context=1024,
    max_sequences=8,
    lora_slots=8,
)
SPEC = EngineSpec(
    ENGINE,
    served_name="smollm2",
    python=Path("/opt/vllm/bin/python"),
    secret="s3cret-of-the-engine",
)


def spec(**changes: Any) -> EngineSpec:
    """That one with changes of its engine."""
    return replace(SPEC, engine=ENGINE.model_copy(update=changes))


def option(words: list[str], name: str) -> str:
    """The value that follows an option."""
    return words[words.index(name) + 1]


def test_an_engine_that_may_sleep_is_told_so() -> None:
    """The option, and the switch without which the server has no calls for it."""
    assert "--enable-sleep-mode" not in command(SPEC, 1)
    assert "VLLM_SERVER_DEV_MODE" not in environment(SPEC)
    sleeper = spec(sleep_level=2)
    assert "--enable-sleep-mode" in command(sleeper, 1)
    assert environment(sleeper)["VLLM_SERVER_DEV_MODE"] == "1"


def test_the_command_says_what_to_serve_and_where() -> None:
    """Each part of the specification is an option of vLLM."""
    words = command(SPEC, 4321)
    assert option(words, "--model") == "models/base"
    assert option(words, "--served-model-name") == "smollm2"
    assert (option(words, "--host"), option(words, "--port")) == ("127.0.0.1", "4321")
    assert option(words, "--max-model-len") == "1024"
    assert option(words, "--max-num-seqs") == "8"
    assert "--enable-lora" in words
    assert all(isinstance(word, str) for word in words)


def test_the_engine_is_a_child_that_does_not_outlive_us() -> None:
    """Our own interpreter starts the engine's, which may be another."""
    words = command(SPEC, 4321)
    ours = [sys.executable, "-m", "collegium.experts.child", "--parent", str(os.getpid())]
    assert words[:5] == ours
    assert words[5:8] == ["/opt/vllm/bin/python", "-m", "vllm.entrypoints.openai.api_server"]


def test_the_secret_is_in_the_environment_only() -> None:
    """A command line can be read by every user of the machine."""
    assert environment(SPEC)["VLLM_API_KEY"] == SPEC.secret
    assert not any(SPEC.secret in word for word in command(SPEC, 4321))
    assert SPEC.secret not in repr(SPEC)


def test_each_engine_has_a_secret_of_its_own() -> None:
    """Long enough not to be guessed."""
    one, other = (EngineSpec(ENGINE).secret for _ in range(2))
    assert one != other
    assert len(one) >= 32


def test_our_own_settings_are_not_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """They may hold the API key or the database's password; all else of the environment is kept."""
    monkeypatch.setenv("COLLEGIUM_API_KEY", "hands-off")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    seen = environment(SPEC)
    assert not any(name.startswith("COLLEGIUM_") for name in seen)
    assert seen["OMP_NUM_THREADS"] == "2"


def test_the_switch_of_our_kernels_reaches_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read inside the engine, so it has to get there."""
    monkeypatch.setenv("COLLEGIUM_LORA", "off")
    assert environment(SPEC)["COLLEGIUM_LORA"] == "off"


def test_an_eager_engine_compiles_nothing_while_a_request_waits() -> None:
    """For log-probabilities vLLM calls torch.compile whatever its mode; here that took 31 s."""
    assert environment(SPEC)["TORCH_COMPILE_DISABLE"] == "1"
    assert "TORCH_COMPILE_DISABLE" not in environment(spec(flags="--no-enforce-eager"))


@pytest.mark.parametrize(("gib", "told"), [(0.25, "1"), (1.0, "1"), (3.4, "3")])
def test_the_cache_is_told_in_whole_gibibytes(gib: float, told: str) -> None:
    """VLLM_CPU_KVCACHE_SPACE is an integer, and none at all is no cache."""
    assert environment(spec(cache_gib=gib))["VLLM_CPU_KVCACHE_SPACE"] == told


def test_nothing_is_fetched_and_nothing_is_sent() -> None:
    """No model hub, no statistics, and no packages from the working folder."""
    seen = environment(SPEC)
    switches = ("HF_HUB_OFFLINE", "VLLM_NO_USAGE_STATS", "PYTHONSAFEPATH")
    assert {seen[name] for name in switches} == {"1"}


def test_a_free_port_is_free_and_a_taken_one_is_taken() -> None:
    """A port that somebody listens on is told from one that nobody does."""
    port = free_port("127.0.0.1")
    assert not is_taken("127.0.0.1", port)
    with socket.create_server(("127.0.0.1", port)):
        assert is_taken("127.0.0.1", port)


def test_a_token_policy_reaches_the_plugin_in_the_engine() -> None:
    """In vLLM's `additional_config`, with our kernels forced: else it would be ignored."""
    policy = TokenPolicy(top_p=0.7, statistics=True)
    routed = replace(SPEC, token_policy=policy, statistics_file=Path("data/embedded.json"))
    found = in_engine(json.loads(option(command(routed, 4321), "--additional-config")))
    assert found.token_policy == policy
    assert found.statistics_file == Path("data/embedded.json")
    assert environment(routed)["COLLEGIUM_MOE"] == "force"
    assert "--additional-config" not in command(SPEC, 4321)
