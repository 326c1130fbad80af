"""Tasks: the questions that specialists are trained on and measured by, one task each."""

from collegium.experts.specialists.tasks.base import Task
from collegium.experts.specialists.tasks.conversion import Conversion
from collegium.experts.specialists.tasks.json_extraction import JsonExtraction
from collegium.experts.specialists.tasks.labels import Labels
from collegium.experts.specialists.tasks.lists import Lists
from collegium.experts.specialists.tasks.sql import Sql

TASKS: dict[str, Task] = {
    task.name: task for task in (Conversion(), JsonExtraction(), Labels(), Lists(), Sql())
}
