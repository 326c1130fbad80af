"""How a vLLM server is started: its command line and its environment."""

from __future__ import annotations

import json
import os
import secrets
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from collegium.kernels.token_policy import SECTION, TokenPolicy
from collegium.kernels.vllm_plugin import MOE_SWITCH, SWITCH
from collegium.registry.engine import Engine

MOST_LORA_SLOTS = 8  # adapters computed in one batch
MOST_LORAS = 32  # adapters kept in memory
MOST_LORA_RANK = 8
"""Every adapter is padded to it, so more would make all of them slower."""
FLAGS = frozenset(
    f"--{name}"
    for name in (
        "block-size",
        "enable-chunked-prefill",
        "enable-prefix-caching",
        "gpu-memory-utilization",
        "kv-cache-dtype",
        "kv-cache-memory-bytes",
        "max-num-batched-tokens",
        "no-enable-chunked-prefill",
        "no-enable-prefix-caching",
        "no-enforce-eager",
        "pipeline-parallel-size",
        "quantization",
        "reasoning-parser",
        "scheduling-policy",
        "seed",
        "tensor-parallel-size",
    )
)
"""What an engine's `flags` may add: nothing that names code to run or where to listen."""
NEEDED = frozenset(
    (
        *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "CC", "CXX"),
        *("LD_LIBRARY_PATH", "LD_PRELOAD", "VIRTUAL_ENV", SWITCH, MOE_SWITCH, "COLLEGIUM_ISA"),
    )
)
NEEDED_KINDS = (
    *("LC_", "PYTHON", "XDG_", "VLLM_", "HF_", "TORCH", "TRITON_", "MALLOC_"),
    *("OMP_", "KMP_", "MKL_", "GOMP_", "DNNL_", "ONEDNN_"),
    *("CUDA_", "NVIDIA_", "NCCL_", "HIP_", "HSA_", "ROCR_", "ROCM_", "ZE_"),
)
SECRET = ("KEY", "TOKEN", "SECRET", "PASSWORD")
"""What of the environment an engine sees."""


@dataclass(frozen=True)
class EngineSpec:
    """One vLLM server: an engine, and what there is of it only while it runs here."""

    engine: Engine
    served_name: str | None = None
    """What it calls its model; None: as the engine is called."""
    python: Path = Path(sys.executable)
    host: str = "127.0.0.1"
    port: int = 0
    token_policy: TokenPolicy | None = None
    """The engine's, parsed, as it may be had here."""
    statistics_file: Path | None = None
    """Where the engine writes what its token routers did, where it is counted."""
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    """The engine answers only callers that know it: other users of the machine do not."""

    @property
    def name(self) -> str:
        """The engine's name in the registry."""
        return self.engine.name

    @property
    def model_path(self) -> Path:
        """The model's folder."""
        return Path(self.engine.model_path)

    @property
    def max_sequences(self) -> int:
        """Requests that it runs at once."""
        return self.engine.max_sequences

    @property
    def dtype(self) -> str:
        """The precision that its weights are loaded with."""
        return self.engine.dtype or fastest_dtype()


def command(spec: EngineSpec, port: int) -> list[str]:
    """The server's command line, started through `child` so that no engine outlives us."""
    # The wheel's `vllm` script looks for metadata of a package it is not; the module works.
    server = [str(spec.python), "-m", "vllm.entrypoints.openai.api_server"]
    return as_child([*server, *_options(spec, port)])


def as_child(program: list[str]) -> list[str]:
    """The command line that runs a program (a path and its arguments) until we end."""
    child = [sys.executable, "-m", "collegium.experts.child"]
    return [*child, "--parent", str(os.getpid()), *program]


def _options(spec: EngineSpec, port: int) -> list[str]:
    engine, more = spec.engine, spec.engine.flags.split()
    options: Mapping[str, object] = {
        "--model": spec.model_path,
        "--served-model-name": spec.served_name or engine.name,
        "--host": spec.host,
        "--port": port,
        "--dtype": spec.dtype,
        "--max-model-len": engine.context,
        "--max-num-seqs": engine.max_sequences,
        "--load-format": "safetensors",  # never pickles
        "--tool-call-parser": "hermes",
    }
    loras: Mapping[str, object] = {
        "--max-loras": engine.lora_slots,
        "--max-cpu-loras": MOST_LORAS,
        "--max-lora-rank": MOST_LORA_RANK,
    }
    if spec.token_policy is not None:
        options = {**options, "--additional-config": _additional_config(spec)}
    flags = ["--enable-auto-tool-choice"]
    if engine.lora_slots:
        options, flags = {**options, **loras}, [*flags, "--enable-lora"]
    if engine.sleep_level:
        flags.append("--enable-sleep-mode")
    if "--no-enforce-eager" not in more:
        # Eager: the compiled mode takes about 170 s to start on 2 cores, eager 25 to 45 s.
        flags.append("--enforce-eager")
    return [*flags, *(str(word) for pair in options.items() for word in pair), *more]


def _additional_config(spec: EngineSpec) -> str:
    assert spec.token_policy is not None
    section: dict[str, Any] = {
        "token_policy": spec.token_policy.model_dump(mode="json", exclude_unset=True)
    }
    if spec.token_policy.statistics and spec.statistics_file is not None:
        section["statistics_file"] = str(spec.statistics_file)
    return json.dumps({SECTION: section})


def refused_flags(flags: Sequence[str]) -> list[str]:
    """Those that are not in `FLAGS`."""
    return [flag for flag in flags if flag.partition("=")[0] not in FLAGS]


def environment(spec: EngineSpec) -> dict[str, str]:
    """What an engine needs of our environment, which may hold keys, and vLLM's switches."""
    ours = {name: value for name, value in os.environ.items() if is_needed(name)}
    if spec.token_policy is not None:
        ours[MOE_SWITCH] = "force"  # or a policy would be ignored where our kernels don't run
    if spec.engine.device:
        ours["CUDA_VISIBLE_DEVICES"] = spec.engine.device
    if spec.engine.sleep_level:
        ours["VLLM_SERVER_DEV_MODE"] = "1"  # else it has no calls for sleep
    return ours | {
        "HF_HUB_OFFLINE": "1",
        "PYTHONSAFEPATH": "1",
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1",
        "VLLM_API_KEY": spec.secret,
        "VLLM_CPU_NUM_OF_RESERVED_CPU": "0",  # by default one core of two would idle
        "VLLM_CPU_KVCACHE_SPACE": str(whole_gib(spec.engine.cache_gib)),
        "VLLM_NO_USAGE_STATS": "1",
    }


def is_needed(variable: str) -> bool:
    """Whether an engine may see a variable: where programs are, how they compute, no secrets."""
    if variable.endswith(SECRET):
        return False
    return variable in NEEDED or variable.startswith(NEEDED_KINDS)


def whole_gib(cache_gib: float) -> int:
    """The cache that vLLM is told to make: on a CPU it takes no fractions."""
    return max(1, round(cache_gib))


def is_taken(host: str, port: int) -> bool:
    """Whether some program listens there already."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((host, port)) == 0


def fastest_dtype(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """bfloat16 where the processor multiplies it, else float32.

    On a processor with AVX2 only, a training step took 47 s in bfloat16 and 1.9 s in float32.
    """
    flags = cpuinfo.read_text() if cpuinfo.exists() else ""
    native = "avx512_bf16" in flags or "amx_bf16" in flags
    return "bfloat16" if native else "float32"


def free_port(host: str) -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
