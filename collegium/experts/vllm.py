"""The command line and environment of a vLLM server."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collegium.errors import ProbeFailed
from collegium.kernels.token_policy import SECTION, TokenPolicy
from collegium.kernels.vllm_plugin import MOE_SWITCH, SWITCH
from collegium.registry.engine import Engine

if TYPE_CHECKING:
    from collegium.experts.placement.plan import Placement

MOST_LORA_SLOTS = 8  # adapters computed in one batch
MOST_LORAS = 32  # adapters kept in memory
USUAL_LORA_RANK = 8
"""Every adapter is padded to the engine's rank, so a higher rank makes all of them slower."""
LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""The values that vLLM accepts as `--max-lora-rank` (besides 1)."""
FIRST_BFLOAT16 = (8, 0)
"""The lowest compute capability (Ampere) of GPUs that multiply bfloat16."""
NEEDED = frozenset(
    (
        "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "CC", "CXX",
        "LD_LIBRARY_PATH", "LD_PRELOAD", "VIRTUAL_ENV", SWITCH, MOE_SWITCH,
        "COLLEGIUM_CACHE_DIR", "COLLEGIUM_ISA",
    )
)  # fmt: skip
NEEDED_KINDS = (
    "LC_", "PYTHON", "XDG_", "VLLM_", "HF_", "TORCH", "TRITON_", "MALLOC_",
    "OMP_", "KMP_", "MKL_", "GOMP_", "DNNL_", "ONEDNN_",
    "CUDA_", "NVIDIA_", "NCCL_", "HIP_", "HSA_", "ROCR_", "ROCM_", "ZE_",
)  # fmt: skip
IN_FLOAT32 = ("compressed-tensors", "torchao")
"""The kinds of quantised checkpoints whose activations may be float32 in vLLM 0.32."""
SECRET = ("KEY", "TOKEN", "SECRET", "PASSWORD")
"""Patterns of environment variables that engines must not see."""


@dataclass(frozen=True)
class EngineSpec:
    """One vLLM server: an engine and its parameters while it runs here."""

    engine: Engine
    served_name: str | None = None
    """The name of its model; None for the engine's name."""
    python: Path = Path(sys.executable)
    host: str = "127.0.0.1"
    port: int = 0
    token_policy: TokenPolicy | None = None
    """The engine's token policy, parsed and checked."""
    statistics_file: Path | None = None
    """The file to which the engine writes its token routers' statistics, if enabled."""
    placement: Placement | None = None
    """Its share of the cards, once it is planned."""
    capability: tuple[int, int] | None = None
    """The compute capability of its cards; None if it runs on the processor."""
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    """Callers must send this secret, so that other users of the machine can't use the engine."""

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
        """The number of requests that it runs at once."""
        return self.engine.max_sequences

    @property
    def dtype(self) -> str:
        """The precision of its activations, and of weights that are not quantised."""
        if self.engine.dtype is not None:
            return self.engine.dtype
        if self.capability is None:
            return cpu_dtype(self.model_path, fastest_dtype())
        return gpu_dtype(self.model_path, self.capability)

    @property
    def flags(self) -> list[str]:
        """The options of vLLM that its owner gave, word by word."""
        return shlex.split(self.engine.flags)


def command(spec: EngineSpec, port: int) -> list[str]:
    """The server's command line, started through `child` so that no engine outlives us."""
    # The wheel's `vllm` script looks for metadata of a package it is not; the module works.
    server = [str(spec.python), "-m", "vllm.entrypoints.openai.api_server"]
    return as_child([*server, *_options(spec, port)])


def as_child(program: list[str]) -> list[str]:
    """Return the command line that runs a program (a path and its arguments) until this process
    ends."""
    child = [sys.executable, "-m", "collegium.experts.child"]
    return [*child, "--parent", str(os.getpid()), *program]


def _options(spec: EngineSpec, port: int) -> list[str]:
    from collegium.experts.model_families import USUAL_TOOLS, parsers_of  # where engines start

    engine, parsers = spec.engine, parsers_of(spec.model_path)
    options: Mapping[str, object] = {
        "--model": spec.model_path,
        "--served-model-name": spec.served_name or engine.name,
        "--host": spec.host,
        "--port": port,
        "--dtype": spec.dtype,
        "--max-model-len": engine.context,
        "--max-num-seqs": engine.max_sequences,
        "--load-format": "safetensors",  # never pickles
        "--tool-call-parser": parsers.tools or USUAL_TOOLS,
        **({"--reasoning-parser": parsers.reasoning} if parsers.reasoning else {}),
        **_share_of_cards(spec),
    }
    loras: Mapping[str, object] = {
        "--max-loras": engine.lora_slots,
        "--max-cpu-loras": MOST_LORAS,
        "--max-lora-rank": lora_rank(engine),
    }
    if spec.token_policy is not None:
        options = {**options, "--additional-config": _additional_config(spec)}
    flags = ["--enable-auto-tool-choice"]
    if engine.lora_slots:
        options, flags = {**options, **loras}, [*flags, "--enable-lora"]
    if engine.sleep_level:
        flags.append("--enable-sleep-mode")
    if is_eager(spec):
        # Eager: the compiled mode takes about 170 s to start on 2 cores, eager 25 to 45 s.
        flags.append("--enforce-eager")
    # The owner's come last: vLLM takes the last value of an option.
    return [*flags, *(str(word) for pair in options.items() for word in pair), *spec.flags]


def _share_of_cards(spec: EngineSpec) -> dict[str, object]:
    """Return the options for its share of each card, including the size of the KV cache in bytes.

    Without the latter, vLLM measures the free memory while it starts, and counts memory that other
    engines on the card take in the meantime as its own (`determine_available_memory` in
    `v1/worker/gpu_worker.py`).
    """
    if spec.placement is None:
        return {}
    return {
        "--tensor-parallel-size": len(spec.placement.cards),
        "--gpu-memory-utilization": spec.placement.utilization,
        "--kv-cache-memory-bytes": int(spec.placement.kv_gib * 2**30),
    }


def is_eager(spec: EngineSpec) -> bool:
    """Whether nothing is compiled, as usual on a processor, where compilation takes minutes."""
    if "--no-enforce-eager" in spec.flags:
        return False
    return spec.capability is None or "--enforce-eager" in spec.flags


def lora_rank(engine: Engine) -> int:
    """The highest rank that the engine's adapters may have."""
    from collegium.experts.engine_flags import value_of  # where adapters are

    given = value_of(shlex.split(engine.flags), "max-lora-rank")
    return int(given) if given is not None and given.isdigit() else USUAL_LORA_RANK


def with_lora_rank(engine: Engine, rank: int) -> Engine:
    """Return the engine with the lowest maximum rank of vLLM that allows adapters of this rank."""
    from collegium.experts.engine_flags import option_name

    enough = next(known for known in LORA_RANKS if known >= rank)
    kept = [f for f in shlex.split(engine.flags) if option_name(f) != "max-lora-rank"]
    return engine.model_copy(update={"flags": shlex.join([*kept, f"--max-lora-rank={enough}"])})


def gpu_dtype(folder: Path, capability: tuple[int, int]) -> str:
    """The checkpoint's own 16-bit format; float16 where the GPU has no bfloat16.

    float32 checkpoints are loaded in 16 bits, as vLLM does by default.
    """
    from collegium.experts.checkpoint import stored_dtype

    is_half = stored_dtype(_config(folder)) == "float16"
    return "float16" if is_half or capability < FIRST_BFLOAT16 else "bfloat16"


def cpu_dtype(folder: Path, fastest: str) -> str:
    """The processor's fastest format; 16 bits for weights that vLLM refuses to compute in 32."""
    from collegium.experts.checkpoint import quantization_of, stored_dtype

    if fastest != "float32":
        return fastest
    config = _config(folder)
    if quantization_of(config) in (None, *IN_FLOAT32):
        return fastest
    return "float16" if stored_dtype(config) == "float16" else "bfloat16"


def _config(folder: Path) -> Mapping[str, Any]:
    from collegium.experts.checkpoint import read_config

    try:
        return read_config(folder)
    except ProbeFailed:
        return {}  # vLLM will say what is wrong


def _additional_config(spec: EngineSpec) -> str:
    assert spec.token_policy is not None
    section: dict[str, Any] = {
        "token_policy": spec.token_policy.model_dump(mode="json", exclude_unset=True)
    }
    if spec.token_policy.statistics and spec.statistics_file is not None:
        section["statistics_file"] = str(spec.statistics_file)
    return json.dumps({SECTION: section})


def environment(spec: EngineSpec) -> dict[str, str]:
    """Return the environment of an engine: ours without secrets, plus vLLM's own variables."""
    ours = {name: value for name, value in os.environ.items() if is_needed(name)}
    if spec.token_policy is not None:
        ours[MOE_SWITCH] = "force"  # or a policy would be ignored where our kernels don't run
    if is_eager(spec):  # else the first request for log-probabilities waits for a compiler
        ours["TORCH_COMPILE_DISABLE"] = "1"
    if device := spec.placement.device if spec.placement else spec.engine.device:
        # In the order of NVML, which tells us the cards; CUDA's own is by speed.
        ours |= {"CUDA_VISIBLE_DEVICES": device, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
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
    """Whether an engine may see a variable: paths and compute options, but no secrets."""
    if variable.endswith(SECRET):
        return False
    return variable in NEEDED or variable.startswith(NEEDED_KINDS)


def whole_gib(cache_gib: float) -> int:
    """Round up the cache size: on a CPU vLLM doesn't accept fractions."""
    return max(1, round(cache_gib))


def is_taken(host: str, port: int) -> bool:
    """Whether a program already listens on the port."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((host, port)) == 0


def fastest_dtype(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return bfloat16 if the processor multiplies it natively, otherwise float32.

    On a processor with AVX2 only, a training step took 47 s in bfloat16 and 1.9 s in float32.
    """
    flags = cpuinfo.read_text() if cpuinfo.exists() else ""
    native = "avx512_bf16" in flags or "amx_bf16" in flags
    return "bfloat16" if native else "float32"


def free_port(host: str) -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
