"""Estimate the memory of an engine."""

from __future__ import annotations

from pathlib import Path

from collegium.errors import ProbeFailed
from collegium.experts.vllm import EngineSpec, whole_gib

PROCESS_GIB = 2.5
"""Memory of a vLLM process besides weights and cache: in total, a process with 0.3 GB of weights
and 1 GiB of cache takes about 4 GB."""
ASLEEP_GIB = 1.0
"""GiB of device memory that a sleeping process keeps (its CUDA context); assumed, not measured."""
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
GIB = 2**30


def engine_gib(spec: EngineSpec, *, file_gib: float | None = None) -> float:
    """Return weights, cache and the overhead of a vLLM process, GiB; on GPUs, for each card.

    `file_gib` is the size of weights that are not on the disk yet, at two bytes per weight.
    """
    if spec.placement is not None:
        return spec.placement.gib
    if file_gib is None:
        weights = weights_gib(spec.model_path, spec.dtype)
    else:
        weights = file_gib * BYTES.get(spec.dtype, 2) / 2
    return weights + whole_gib(spec.engine.cache_gib) + PROCESS_GIB


def weights_gib(folder: Path, dtype: str) -> float:
    """Return the size of a model's weights in the precision in which they are loaded.

    Quantised weights are loaded unchanged.
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
    """Whether the host has enough memory to keep an engine's weights while it sleeps."""
    free = available_gib()
    return free is None or free >= weights_gib(spec.model_path, spec.dtype)


def available_gib(meminfo: Path = Path("/proc/meminfo")) -> float | None:
    """Return the available memory, GiB; None if the system doesn't report it."""
    if not meminfo.exists():
        return None
    sizes = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
    return float(sizes["MemAvailable"].split()[0]) / 1024**2 if "MemAvailable" in sizes else None
