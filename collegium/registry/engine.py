"""One engine that Collegium runs, from the API's body to the database's row.

A new field is declared here and added to the table by a migration. The API validates it by these
types, `tables.py` makes its column of them, and the command line sends what it is called here.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class EngineOptions(BaseModel):
    """Options of an engine, chosen when its expert is registered."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model_path: Annotated[str, Field(min_length=1)]
    """The model's folder, on the machine that runs the engine."""
    dtype: Literal["bfloat16", "float16", "float32"] | None = None
    """None for the fastest type that the processor supports."""
    max_sequences: Annotated[int, Field(ge=1, le=4096)] = 32
    """Requests that it runs at once."""
    cache_gib: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    device: Annotated[str, Field(pattern=r"^[0-9,]*$")] = ""
    """Numbers of the GPUs that it may see, as in CUDA_VISIBLE_DEVICES; empty: all, or the CPU."""
    lora_slots: Annotated[int, Field(ge=0, le=64)] = 0
    """Adapters computed in one batch; 0 for an engine without adapters."""
    flags: str = ""
    """More options of vLLM, between spaces."""
    sleep_level: Annotated[int, Field(ge=0, le=2)] = 0
    """1 or 2: sleep at this level instead of stopping, to make room for others; needs a GPU."""
    token_policy: dict[str, Any] | None = None
    """How tokens are routed in a sparse model (`kernels.token_policy`)."""


class Engine(EngineOptions):
    """An engine: its options, and what it takes from its expert."""

    name: str
    context: Annotated[int, Field(ge=1)] = 2048
