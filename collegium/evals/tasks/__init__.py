"""Tasks: questions on which specialists are trained and measured."""

from collegium.evals.tasks.base import Task
from collegium.evals.tasks.conversion import Conversion
from collegium.evals.tasks.json_extraction import JsonExtraction
from collegium.evals.tasks.labels import Labels
from collegium.evals.tasks.lists import Lists
from collegium.evals.tasks.sql import Sql

TASKS: dict[str, Task] = {
    task.name: task for task in (Conversion(), JsonExtraction(), Labels(), Lists(), Sql())
}
