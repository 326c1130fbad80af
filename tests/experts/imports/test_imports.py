"""What imports read out of other gateways' configurations."""

from __future__ import annotations

from typing import Any

import pytest

from collegium.experts.imports import litellm, llama_swap, vllm_sr
from collegium.experts.imports.found import name_of

LITELLM: dict[str, Any] = {
    "model_list": [
        {
            "model_name": "gpt-4o",
            "litellm_params": {"model": "azure/gpt-4o-eu", "api_key": "sk-secret", "rpm": 480},
            "model_info": {
                "input_cost_per_token": 2.5e-06,
                "output_cost_per_token": "1e-05",
                "cache_read_input_token_cost": 1.25e-06,
                "max_input_tokens": 128000,
                "supports_vision": True,
            },
        },
        {
            "model_name": "gpt-4o",
            "litellm_params": {"model": "gpt-4o", "api_key": "os.environ/OPENAI_API_KEY"},
        },
        {
            "model_name": "team/local",
            "litellm_params": {
                "model": "hosted_vllm/Qwen/Qwen3-8B",
                "api_base": "http://10.0.0.5:8000/v1",
                "temperature": 0.2,
            },
        },
        {"model_name": "all/*", "litellm_params": {"model": "openai/*"}},
        {
            "model_name": "vectors",
            "litellm_params": {"model": "openai/e"},
            "model_info": {"mode": "embedding"},
        },
    ],
    "router_settings": {"model_group_alias": {"gpt-4": "gpt-4o"}, "num_retries": 2},
    "general_settings": {"master_key": "sk-1234"},
    "environment_variables": {"REDIS_PASSWORD": "hush"},
}


def test_deployments_of_litellm() -> None:
    """Prices a token become prices a million; an address makes a direct connection."""
    found = litellm.read(LITELLM)
    first, second, local = found.experts
    assert first == {
        "name": "gpt-4o",
        "kind": "litellm",
        "model": "azure/gpt-4o-eu",
        "api_key_env": "GPT_4O_API_KEY",
        "input_price": 2.5,
        "output_price": 10.0,
        "context_window": 128000,
        "prices": {"cached_input": 1.25},
        "capabilities": {"images": True},
    }
    assert second == {
        "name": "gpt-4o-2",
        "kind": "litellm",
        "model": "gpt-4o",
        "api_key_env": "OPENAI_API_KEY",
    }
    assert local == {
        "name": "team-local",
        "kind": "openai",
        "model": "Qwen/Qwen3-8B",
        "base_url": "http://10.0.0.5:8000/v1",
    }
    assert found.aliases == {"team/local": "team-local", "gpt-4": "gpt-4o"}


def test_what_litellm_has_and_we_do_not_is_listed_without_secrets() -> None:
    """Each thing by its name, and no secret's value."""
    told = "\n".join(litellm.read(LITELLM).left_out)
    for words in (
        "gpt-4o: rpm 480 (limit keys, teams or applications with `collegium budget set`)",
        "gpt-4o: its key (put it in the variable GPT_4O_API_KEY of the service)",
        "all/*: a wildcard, openai/*",
        "vectors: a model of mode embedding",
        "team/local: temperature 0.2",
        "router_settings: num_retries 2",
        "general_settings: master_key",
        "environment_variables: REDIS_PASSWORD",
    ):
        assert words in told
    for secret in ("sk-secret", "sk-1234", "hush"):
        assert secret not in told


def test_prices_among_litellms_parameters_are_prices_too() -> None:
    """LiteLLM takes a deployment's prices from either place; parameters win."""
    params = {"model": "m", "input_cost_per_token": 3e-06, "cache_read_input_token_cost": 3e-07}
    info = {"input_cost_per_token": 1e-06, "output_cost_per_token": 1.5e-05}
    deployment = {"model_name": "m", "litellm_params": params, "model_info": info}
    found = litellm.read({"model_list": [deployment]})
    (expert,) = found.experts
    assert (expert["input_price"], expert["output_price"]) == (3.0, 15.0)
    assert expert["prices"] == {"cached_input": 0.3}
    assert found.left_out == []


def test_the_semantic_routers_models() -> None:
    """Backends become experts with their card's size, window and licence, and a prior."""
    found = vllm_sr.read(
        {
            "version": "v0.3",
            "providers": {
                "models": [
                    {
                        "name": "qwen3-8b",
                        "provider_model_id": "qwen3-8b-instruct",
                        "pricing": {
                            "prompt_per_1m": 0.18,
                            "completion_per_1m": 0.42,
                            "cached_input_per_1m": 0.04,
                        },
                        "backend_refs": [
                            {"endpoint": "127.0.0.1:8000", "api_key_env": "QWEN_API_KEY"},
                            {"base_url": "https://api.example.com/v1/", "api_key": "hush"},
                        ],
                    },
                    {
                        "name": "claude",
                        "api_format": "anthropic",
                        "backend_refs": [{"endpoint": "x:1"}],
                    },
                ]
            },
            "evaluation": {
                "records": [
                    {"model": "qwen3-8b", "metrics": {"score": 0.8}},
                    {"model": "qwen3-8b", "metrics": {"score": 0.9}},
                ]
            },
            "routing": {
                "modelCards": [
                    {
                        "name": "qwen3-8b",
                        "param_size": "8B",
                        "context_window_size": 131072,
                        "tags": ["fast"],
                        "distribution": {"license": "Apache-2.0"},
                        "modalities": {"input": ["text", "image"]},
                    }
                ],
                "signals": {"keywords": []},
            },
        }
    )
    first, second = found.experts
    assert first == {
        "name": "qwen3-8b",
        "kind": "openai",
        "model": "qwen3-8b-instruct",
        "base_url": "http://127.0.0.1:8000/v1",
        "api_key_env": "QWEN_API_KEY",
        "prior": 0.85,
        "input_price": 0.18,
        "output_price": 0.42,
        "prices": {"cached_input": 0.04},
        "parameters_b": 8.0,
        "context_window": 131072,
        "tags": ("fast",),
        "labels": {"licence": "Apache-2.0"},
        "capabilities": {"images": True, "audio": False, "files": False},
    }
    assert second["name"] == "qwen3-8b-2"
    assert second["base_url"] == "https://api.example.com/v1"
    assert second["api_key_env"] == "QWEN3_8B_API_KEY"
    told = "\n".join(found.left_out)
    assert "claude: api_format anthropic" in told
    assert "routing: signals" in told
    assert "hush" not in told


def test_the_semantic_routers_earlier_form() -> None:
    """Endpoints beside models, and scores by category."""
    found = vllm_sr.read(
        {
            "vllm_endpoints": [{"name": "one", "address": "127.0.0.1", "port": 8001}],
            "model_config": {
                "phi4": {
                    "preferred_endpoints": ["one"],
                    "pricing": {"prompt_per_1m": 0.07, "completion_per_1m": 0.35},
                    "reasoning_family": "phi",
                }
            },
            "categories": [{"name": "law", "model_scores": [{"model": "phi4", "score": 0.6}]}],
        }
    )
    (expert,) = found.experts
    assert expert["base_url"] == "http://127.0.0.1:8001/v1"
    assert (expert["prior"], expert["output_price"]) == (0.6, 0.35)
    assert any("reasoning_family" in words for words in found.left_out)


def test_models_of_llama_swap() -> None:
    """All at llama-swap's own address, with both forms of aliases."""
    found = llama_swap.read(
        {
            "apiKeys": ["sk-hunter2"],
            "models": {
                "qwen": {
                    "cmd": "llama-server",
                    "aliases": ["gpt-4o-mini", {"id": "gpt-4.1-mini"}],
                    "description": "Small and quick",
                    "concurrencyLimit": 4,
                },
                "big:q4": {"cmd": "x"},
            },
            "groups": {},
        },
        "http://127.0.0.1:9000/v1",
    )
    assert [e["name"] for e in found.experts] == ["qwen", "big-q4"]
    assert {e["base_url"] for e in found.experts} == {"http://127.0.0.1:9000/v1"}
    assert {e["api_key_env"] for e in found.experts} == {"LLAMA_SWAP_API_KEY"}
    assert found.experts[1]["model"] == "big:q4"
    assert found.aliases == {
        "gpt-4o-mini": "qwen",
        "gpt-4.1-mini": "qwen",
        "big:q4": "big-q4",
    }
    assert "qwen: concurrencyLimit 4 (llama-swap goes on to apply it)" in found.left_out


@pytest.mark.parametrize("wrong", [{}, {"model_list": 3}, {"models": []}, {"providers": "x"}])
def test_a_file_of_another_shape_has_no_experts(wrong: dict[str, Any]) -> None:
    """Nothing is guessed, and nothing fails."""
    for read in (litellm.read, vllm_sr.read, llama_swap.read):
        assert read(wrong).experts == []


def test_names() -> None:
    """What may not name an expert is replaced."""
    assert name_of("openai/gpt 4") == "openai-gpt-4"
    assert name_of("***") == "expert"
