"""The composed model's folder in the cache, created at the first start."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from collegium.experts.embedded import Progress, ensure_base_model, ensure_made, silent
from collegium.experts.roster import SPARSE_MODEL
from collegium.experts.sparse import WEIGHTS
from collegium.experts.specialists import ADAPTERS, SPECIALISTS

GATES = WEIGHTS / "gates.safetensors"
# Raise it when what compose writes changes: older folders are then made again.
COMPOSITION = 1


def ensure_sparse_model(cache: Path, progress: Progress = silent) -> Path:
    """Return the sparse model's folder under `cache`, composing it if need be."""
    base = ensure_base_model(cache, progress)

    def make(folder: Path) -> None:
        # Needed once a machine, so the service does not load it at every start.
        from collegium.experts.sparse.composing import compose
        from collegium.experts.sparse.lora import builtin_adapters

        compose(base, GATES, builtin_adapters(), folder)

    task = f"Composing {SPARSE_MODEL} (once, about a quarter of a minute, 1.1 GB)"
    return ensure_made(cache / SPARSE_MODEL, parts(), make, progress, task)


def parts() -> str:
    """Return a digest of its parts: another gate or adapter is another model."""
    digest = sha256(str(COMPOSITION).encode())
    for path in (GATES, *(ADAPTERS / name / "adapter_model.safetensors" for name in SPECIALISTS)):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
