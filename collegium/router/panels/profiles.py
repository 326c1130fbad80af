"""Measured profiles of modes: gain and cost against one expert, by the router's confidence.
`collegium eval panels --save` writes them; `aggregate: "auto"` uses them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from collegium.errors import ArtifactRejected
from collegium.experts.aggregation.confidence import Confidence

FILE = "panels.json"
BOUNDS = (0.5, 0.7, 0.85, 0.95)
"""Upper ends of the ranges of the best forecast; the last one ends at 1."""


@dataclass(frozen=True)
class Profile:
    """One mode in one range of the best forecast, compared with the best single expert."""

    mode: str
    k: int
    gain: float
    """Gain in P(correct)."""
    gain_low: float
    """The lower end of the gain's 95 % interval: what can be relied on."""
    cost: float
    """Cost as a multiple of the single answer's."""
    queries: int
    threshold: float | None = None
    """The threshold of a cascade."""
    cap: float | None = None
    """Members cost at most this multiple of the single answer; None for no limit."""


@dataclass(frozen=True)
class Profiles:
    """The measurements of panels on one pool; may be empty."""

    ranges: tuple[tuple[Profile, ...], ...] = ((),) * (len(BOUNDS) + 1)
    correlations: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Correlations of two experts' outcomes, by name."""
    confidence: Confidence = field(default_factory=Confidence)
    made_by: str = ""

    def at(self, forecast: float | None) -> tuple[Profile, ...]:
        """Return the modes measured on queries with a similar best forecast."""
        return () if forecast is None else self.ranges[range_of(forecast)]

    def correlation(self, one: str, other: str) -> float:
        """Return the correlation of two experts' outcomes; 0 if it wasn't measured."""
        return self.correlations.get(one, {}).get(other, 0.0)

    def save(self, folder: Path) -> None:
        """Write the file that lies beside the router's."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FILE).write_text(json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Profiles:
        """Load the profiles; empty if there is no file."""
        from pydantic import TypeAdapter, ValidationError

        try:
            read = TypeAdapter(cls).validate_json((folder / FILE).read_bytes())
        except FileNotFoundError:
            return cls()
        except ValidationError as exc:
            first = exc.errors()[0]
            where = "".join(f"{part}: " for part in first["loc"])
            words = f"{folder / FILE} holds no profiles of panels: {where}{first['msg']}"
            raise ArtifactRejected(words) from exc
        if len(read.ranges) != len(BOUNDS) + 1:
            raise ArtifactRejected(f"{folder / FILE} has {len(read.ranges)} ranges")
        return read


def range_of(forecast: float) -> int:
    """The index of the range that a forecast lies in."""
    return sum(forecast >= bound for bound in BOUNDS)


def price(tradeoff: float) -> float:
    """P(right) that one more multiple of the single answer's cost has to bring.

    0 at trade-off 0 (any gain that can be relied on), 0.1 at 5; at 10 only what saves money. 0.1 is
    the price that cross-validation inside the training queries of `routerbench3` chooses
    (`collegium eval panels`).
    """
    return 0.1 * tradeoff / (10 - tradeoff) if tradeoff < 10 else float("inf")


def worth(profile: Profile, price_of_multiple: float) -> float:
    """The gain that can be relied on, less what its further cost would have to bring."""
    further = profile.cost - 1
    return profile.gain_low - (price_of_multiple * further if further else 0.0)
