"""What was measured of a pool and its router: values only, and their JSON."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from collegium.errors import SetupError
from collegium.evals.bootstrap import Interval
from collegium.evals.calibration import Calibration
from collegium.evals.provenance import Provenance

Kind = Literal["expert", "baseline", "router", "oracle"]
ROUTER = "router"
RANDOM = "random"
TASK_TABLE = "task_table"
ORACLE = "oracle"


@dataclass(frozen=True, slots=True)
class Row:
    """The accuracy of one way to answer, in [0, 1], with its 95 % interval."""

    name: str
    kind: Kind
    accuracy: float
    low: float
    high: float
    note: str = ""


@dataclass(frozen=True)
class TaskResult:
    """One task: every row on its prompts, and where the router sent them."""

    task: str
    prompts: int
    rows: tuple[Row, ...]
    choices: dict[str, float]
    """The share of the task's prompts that the router gave to each expert."""


@dataclass(frozen=True, slots=True)
class SpecialistResult:
    """A specialist beside the generalist, on the specialist's own task."""

    task: str
    prompts: int
    expert: str
    generalist: str
    accuracy: Interval
    generalist_accuracy: Interval
    difference: Interval


@dataclass(frozen=True)
class Spread:
    """How the router spreads prompts over the experts; `collapsed`: one gets nearly all."""

    shares: dict[str, float]
    top_expert: str
    top_share: float
    entropy_bits: float
    most_entropy_bits: float
    collapsed: bool


@dataclass(frozen=True, slots=True)
class ChatShare:
    """How many everyday chat prompts went to the generalist."""

    share_to_generalist: float
    low: float
    high: float
    prompts: int
    source: str


@dataclass(frozen=True, slots=True)
class Overhead:
    """The router's own time per prompt."""

    mean_ms: float
    median_ms: float
    p95_ms: float


@dataclass(frozen=True)
class PoolReport:
    """Everything measured in one evaluation of a pool."""

    best_single_expert: str
    generalist: str | None
    rows: tuple[Row, ...]
    per_task: tuple[TaskResult, ...]
    intervals: dict[str, Interval | None]
    """Paired differences and `gap_closed`; None where undefined."""
    specialists: tuple[SpecialistResult, ...]
    spread: Spread
    provenance: Provenance
    calibration: Calibration | None = None
    chosen_calibration: Calibration | None = None
    """Calibration over the forecasts of the chosen experts only."""
    chat: ChatShare | None = None
    overhead: Overhead | None = None

    def row(self, name: str, kind: Kind) -> Row:
        """Return the row of this name and kind; an expert may be called like a baseline."""
        return next(row for row in self.rows if (row.name, row.kind) == (name, kind))

    @property
    def router(self) -> Row:
        """The router that is judged."""
        return self.row(ROUTER, "router")

    @property
    def best_single(self) -> Row:
        """The expert that alone answers the most prompts."""
        return self.row(self.best_single_expert, "expert")

    @property
    def oracle(self) -> Row:
        """The best expert for each prompt, known only afterwards."""
        return self.row(ORACLE, "oracle")

    def headline(self) -> dict[str, float | None]:
        """Return the numbers that stand at the top of the JSON."""
        gap = self.intervals["gap_closed"]
        return {
            "best_single": self.best_single.accuracy,
            "router": self.router.accuracy,
            "oracle": self.oracle.accuracy,
            "gap_closed": None if gap is None else gap.estimate,
            "random": self.row(RANDOM, "baseline").accuracy,
            "task_table": self.row(TASK_TABLE, "baseline").accuracy,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold: the headline numbers, then all details."""
        from pydantic import TypeAdapter

        details = TypeAdapter(PoolReport).dump_python(self, mode="json")
        return {"kind": "pool", **self.headline(), **details}

    def to_json(self) -> str:
        """Return the report as JSON for machines."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"

    @classmethod
    def load(cls, path: Path) -> "PoolReport":
        """Read a report that `to_json` wrote."""
        from pydantic import TypeAdapter, ValidationError

        try:
            return TypeAdapter(cls).validate_json(path.read_bytes())
        except FileNotFoundError as exc:
            raise SetupError(f"there is no report at '{path}'") from exc
        except ValidationError as exc:
            raise SetupError(f"'{path}' is not a report of a pool: {exc}") from exc
