"""One servable model as the registry knows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["engine", "lora", "openai", "litellm"]


AGGREGATION = "aggregation"
"""The skill of making one answer of several: measured like others, asked of aggregators only."""


@dataclass(frozen=True, slots=True)
class Expert:
    """One servable model: where it answers, what it costs, what it has been measured to do.

    Prices are US dollars per million tokens; `skills` maps a skill to its measured level in [0, 1].
    """

    name: str
    kind: Kind
    model: str
    """The name the engine or the remote endpoint knows it by."""
    engine: str | None = None
    """The supervised engine it runs on (kinds `engine` and `lora`)."""
    base_url: str | None = None
    """The endpoint's address up to and including `/v1` (kind `openai`)."""
    adapter: str | None = None
    """The adapter's folder, or `builtin:NAME` for one that ships with the package (kind `lora`)."""
    api_key_env: str | None = None
    """The environment variable that holds the endpoint's key; the key itself is never stored."""
    description: str = ""
    skills: Mapping[str, float] = field(default_factory=dict)
    input_price: float = 0.0
    output_price: float = 0.0
    context_window: int = 2048
    generalist: bool = False
    """Queries unlike anything measured go to the generalist."""
    enabled: bool = True
    version: int = 1
