"""One servable model as the registry stores it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

AGGREGATION = "aggregation"
"""The skill of making one answer of several: measured like others, asked of aggregators only."""
EMBEDDED_ENGINES = ("embedded", "sparse")
"""The engines of the small demonstration pool that ships with the package."""
BUILTIN = "builtin:"
"""Before the name of an adapter that ships with the package."""
RUN_HERE: tuple[str, ...] = ("engine", "lora")
DEFAULT_CONTEXT = 2048
"""The context window that is assumed if none was stated or detected."""


@dataclass(frozen=True, slots=True)
class Expert:
    """One servable model: its endpoint, its prices, and its measured skills.

    Prices are US dollars per million tokens; `skills` maps a skill to its measured level in [0, 1].
    """

    name: str
    kind: str
    """The kind of client that reaches it: the name of an extension of the kind `expert`."""
    model: str
    """The name by which the engine or the remote endpoint knows it."""
    engine: str | None = None
    """The supervised engine it runs on (kinds `engine` and `lora`)."""
    base_url: str | None = None
    """The endpoint's address up to and including `/v1` (kind `openai`)."""
    adapter: str | None = None
    """The adapter's folder, or `builtin:NAME` for one that ships with the package (kind `lora`)."""
    api_key_env: str | None = None
    """The environment variable with the endpoint's key; the key itself is never stored."""
    description: str = ""
    skills: Mapping[str, float] = field(default_factory=dict)
    input_price: float | None = None
    """Dollars per million tokens. None means unknown, not free; local engines cost 0 by default."""
    output_price: float | None = None
    context_window: int = DEFAULT_CONTEXT
    generalist: bool = False
    """Queries unlike anything measured go to the generalist."""
    enabled: bool = True
    version: int = 1
    tags: tuple[str, ...] = ()
    """Free labels, such as `eu` or `no-phi`."""
    prior: float | None = None
    """The owner's word for its quality, in [0, 1]."""
    parameters_b: float | None = None
    """The model's size, billions of parameters."""
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    """Its stated or detected capabilities; anything not listed is unknown."""
    prices: Mapping[str, float] = field(default_factory=dict)
    """Prices beside those of input and output, such as of cached input, dollars per million."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """The labels that rules refer to: `licence`, `residency`, `data_class`."""
    preset: Mapping[str, Any] | None = None
    """`base` (another expert's name) and what is set for its model: `registry/presets.py`."""

    def __post_init__(self) -> None:
        if self.kind in RUN_HERE and self.preset is None:
            for price in ("input_price", "output_price"):
                if getattr(self, price) is None:
                    object.__setattr__(self, price, 0.0)

    @property
    def origin(self) -> str:
        """The name of the expert whose model, client, slots and breaker it shares: its base, or
        itself.
        """
        return self.name if self.preset is None else str(self.preset["base"])

    @property
    def embedded(self) -> bool:
        """Whether it runs on the engines of the demonstration pool."""
        return self.engine in EMBEDDED_ENGINES or (self.adapter or "").startswith(BUILTIN)
