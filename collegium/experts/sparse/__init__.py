"""The sparse mixture: the embedded experts' feed-forward layers in one model with gates."""

from importlib.resources import files
from pathlib import Path

from collegium.experts.specialists import SPECIALISTS

WEIGHTS = Path(str(files("collegium.experts.sparse") / "weights"))
BASE = "base"
MEMBERS = (BASE, *SPECIALISTS)
"""The experts of every layer, in the order of their numbers."""
EXPERTS_PER_TOKEN = 2
