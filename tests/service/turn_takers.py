"""Two experts whose engines (stubs' processes) take turns, for there is room for one of them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from collegium.registry.engine import Engine
from collegium.registry.engines import EngineRegistry
from collegium.registry.expert import Expert
from collegium.registry.experts import ExpertRegistry
from collegium.registry.storage.database import Database
from collegium.router.artifact import bundled, load
from tests.experts.engines import STUB

MEMORY_GIB = 5.0
"""Room for one engine."""
PYTHON = """#!{python}
# Stands for an interpreter that has vLLM: runs the stub engine, in its model's folder.
import os, sys
port, model = (sys.argv[sys.argv.index(option) + 1] for option in ("--port", "--model"))
os.execv({python!r}, [{python!r}, {stub!r}, port, model])
"""


def engine_python(folder: Path) -> Path:
    """The interpreter to run engines with; makes it in the folder."""
    python = folder / "python"
    python.write_text(PYTHON.format(python=sys.executable, stub=str(STUB)))
    python.chmod(0o700)
    return python


async def register(database_url: str, folder: Path, levels: Mapping[str, float]) -> None:
    """Register experts by name, as good as told in every skill, each with an engine of its own."""
    database = Database(database_url)
    await database.migrate()
    skills = [str(skill) for skill in load(bundled("minilm")).skills.classes_]
    for name, level in levels.items():
        (folder / name).mkdir()
        (folder / name / "model.safetensors").write_bytes(b"weights")
        engine = Engine(name=name, model_path=str(folder / name))
        await EngineRegistry(database).register(engine)
        expert = Expert(name, "engine", name, engine=name, skills=dict.fromkeys(skills, level))
        await ExpertRegistry(database).register(expert)
    await database.close()
