"""The sparse mixture in the pool: one more expert on an engine of its own."""

from __future__ import annotations

from pathlib import Path

from collegium.experts.memory import available_gib
from collegium.experts.sparse import EXPERTS_PER_TOKEN, MEMBERS
from collegium.experts.sparse.model import SPARSE_MODEL
from collegium.experts.vllm import EngineSpec
from collegium.registry.expert import Expert
from collegium.settings import Settings

SPARSE_ENGINE = "sparse"
MIXTURE = "mixture"
NEEDED_GIB = 4.0
"""Free memory without which the second engine is not started."""


def mixture(context: int) -> Expert:
    """The expert. It has no measured skills: the router asks it once someone profiles it."""
    return Expert(
        name=MIXTURE,
        kind="engine",
        model=MIXTURE,
        engine=SPARSE_ENGINE,
        description="Sparse mixture of the embedded experts: "
        f"{EXPERTS_PER_TOKEN} of {len(MEMBERS)} feed-forward layers a token",
        context_window=context,
    )


def sparse_spec(settings: Settings) -> EngineSpec:
    """Its engine, without adapters."""
    return EngineSpec(
        SPARSE_ENGINE,
        settings.cache_dir / SPARSE_MODEL,
        MIXTURE,
        python=settings.engine_python,
        context=settings.engine_context,
        max_sequences=settings.engine_max_sequences,
        cache_gib=settings.engine_cache_gib,
        lora_slots=0,
    )


def lacking_memory(meminfo: Path = Path("/proc/meminfo")) -> str | None:
    """Say why the engine can't be started beside the first one; None when there is room."""
    free = available_gib(meminfo)
    if free is None or free >= NEEDED_GIB:
        return None
    return f"{free:.1f} GiB of memory are free, and it needs {NEEDED_GIB:.0f}"
