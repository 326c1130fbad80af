"""List prices of models: `model_prices.json` beside a set's outcomes."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

from collegium.errors import SetupError

PRICES = "model_prices.json"


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars per million tokens read and written."""

    input: float
    output: float


def read_prices(path: Path) -> dict[str, Price]:
    """Read `{model: {"input_price": …, "output_price": …}}`; no file means no prices."""
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as exc:
        raise SetupError(f"{path}: expected a JSON object of prices: {exc}") from exc
    if not isinstance(found, dict):
        raise SetupError(f"{path}: expected a JSON object with an entry a model")
    return {name: _price(entry, f"{path}, '{name}'") for name, entry in found.items()}


def _price(entry: object, where: str) -> Price:
    read = entry if isinstance(entry, dict) else {}
    into, out = (_dollars(read.get(f"{way}_price"), where) for way in ("input", "output"))
    return Price(into, out)


def _dollars(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise SetupError(f"{where}: expected 'input_price' and 'output_price' in dollars")
    return float(value)
