"""The embedded experts: a small generalist, and specialists trained on top of it."""

from __future__ import annotations

from pathlib import Path

from collegium.experts.embedded import BASE_MODEL
from collegium.experts.specialists import ADAPTERS, SPECIALISTS
from collegium.registry.expert import BUILTIN, EMBEDDED_ENGINES, Expert

ENGINE, SPARSE_ENGINE = EMBEDDED_ENGINES
MIXTURE = "mixture"
SPARSE_MODEL = "SmolLM2-6x135M-Instruct"
GENERALIST = "smollm2"


def embedded_experts(context: int) -> tuple[Expert, ...]:
    """The generalist first, then one expert a task. They run here: they cost nothing a token."""
    generalist = Expert(
        name=GENERALIST,
        kind="engine",
        model=GENERALIST,
        engine=ENGINE,
        description=f"Generalist: {BASE_MODEL}, for conversation and all that no specialist knows",
        context_window=context,
        generalist=True,
    )
    return (generalist, *(_specialist(name, context) for name in SPECIALISTS))


def _specialist(name: str, context: int) -> Expert:
    return Expert(
        name=name,
        kind="lora",
        model=name,
        engine=ENGINE,
        adapter=f"{BUILTIN}{name}",
        description=SPECIALISTS[name],
        context_window=context,
    )


def adapter_folder(expert: Expert) -> Path | None:
    """Return the folder of an expert's adapter."""
    if expert.adapter is None:
        return None
    if expert.adapter.startswith(BUILTIN):
        return ADAPTERS / expert.adapter.removeprefix(BUILTIN)
    return Path(expert.adapter)
