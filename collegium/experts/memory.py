"""Estimate the memory of an engine."""

from __future__ import annotations

from pathlib import Path

from collegium.errors import ProbeFailed
from collegium.experts.vllm import EngineSpec, whole_gib

PROCESS_GIB = 2.5
"""A vLLM process beside weights and cache: about 4 GB with 0.3 GB of weights and 1 GiB of cache."""
ASLEEP_GIB = 1.0
"""GiB of the device that a sleeping process keeps (its CUDA context): assumed, not measured."""
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
GIB = 2**30


def engine_gib(spec: EngineSpec, *, file_gib: float | None = None) -> float:
    """Return weights, cache and the overhead of every vLLM process, GiB; on GPUs, on each card.

    `file_gib` is the size of weights that are not there yet, in two bytes a weight.
    """
    if spec.placement is not None:
        return spec.placement.gib
    if file_gib is None:
        weights = weights_gib(spec.model_path, spec.dtype)
    else:
        weights = file_gib * BYTES.get(spec.dtype, 2) / 2
    return weights + whole_gib(spec.engine.cache_gib) + PROCESS_GIB


def weights_gib(folder: Path, dtype: str) -> float:
    """The weights of a model's folder in the precision that they are loaded with.

    Quantised ones are loaded as they are.
    """
    from collegium.experts.checkpoint import quantization_of, read_config, stored_dtype

    size = sum(file.stat().st_size for file in folder.glob("*.safetensors")) / GIB
    try:
        config = read_config(folder)
    except ProbeFailed:  # no configuration: vLLM will say so
        return size
    stored = BYTES.get(stored_dtype(config))
    if stored is None or quantization_of(config) is not None:
        return size
    return size * BYTES.get(dtype, stored) / stored


def has_room_for_weights(spec: EngineSpec) -> bool:
    """Whether the host's memory can keep an engine's weights while it sleeps."""
    free = available_gib()
    return free is None or free >= weights_gib(spec.model_path, spec.dtype)


def available_gib(meminfo: Path = Path("/proc/meminfo")) -> float | None:
    """Return the available memory, GiB; None if the system doesn't report it."""
    if not meminfo.exists():
        return None
    sizes = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
    return float(sizes["MemAvailable"].split()[0]) / 1024**2 if "MemAvailable" in sizes else None
