"""Specialists: LoRA adapters of the embedded base model, each taught one skill that is marked."""

from importlib.resources import files
from pathlib import Path

from collegium.experts.specialists.tasks.base import Task
from collegium.experts.specialists.tasks.conversion import Conversion
from collegium.experts.specialists.tasks.json_extraction import JsonExtraction
from collegium.experts.specialists.tasks.labels import Labels
from collegium.experts.specialists.tasks.lists import Lists
from collegium.experts.specialists.tasks.sql import Sql

ADAPTERS = Path(str(files("collegium.experts.specialists") / "adapters"))
TASKS: dict[str, Task] = {
    task.name: task for task in (Conversion(), JsonExtraction(), Labels(), Lists(), Sql())
}
