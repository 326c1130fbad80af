"""The sparse mixture as another expert of the pool, on its own engine."""

from __future__ import annotations

from pathlib import Path

from collegium.experts.memory import available_gib
from collegium.experts.roster import MIXTURE, SPARSE_ENGINE
from collegium.experts.sparse import EXPERTS_PER_TOKEN, MEMBERS
from collegium.registry.expert import Expert

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


def lacking_memory(meminfo: Path = Path("/proc/meminfo")) -> str | None:
    """Return why the engine can't run beside the first one; None if there is enough memory."""
    free = available_gib(meminfo)
    if free is None or free >= NEEDED_GIB:
        return None
    return f"{free:.1f} GiB of memory are free, and it needs {NEEDED_GIB:.0f}"
