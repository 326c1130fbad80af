"""Specialists: LoRA adapters of the embedded base model, each trained for one skill.

The names and descriptions are here, for the service serves adapters without knowing their tasks:
what a specialist is asked in training and measurement is in `tasks`.
"""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

ADAPTERS = Path(str(files("collegium.experts.specialists") / "adapters"))
SPECIALISTS: Mapping[str, str] = MappingProxyType(
    {
        "conversion": "Converts dates, durations, clock times and units to the form asked for",
        "json": "Extracts the wanted facts from a sentence as a JSON object",
        "labels": "Labels the sentiment or the topic of a text from a given set of labels",
        "lists": "Adds, removes, replaces, picks, joins, splits and reorders list items",
        "sql": "Writes a SQLite query for a question about one or two tables",
    }
)
"""Each specialist with a one-line description."""
