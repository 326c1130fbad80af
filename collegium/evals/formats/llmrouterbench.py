"""LLMRouterBench (arXiv 2601.07206): `<dataset>/<split>/<model>/<time>.json` under `results/bench`.

A file is `{"records": [{"index", "origin_query", "prompt", "score", "prompt_tokens",
"completion_tokens", "cost"}, …]}`; of several runs of a model the newest counts.
"""

from pathlib import Path

from collegium.errors import SetupError
from collegium.evals.core.data import RoutingData
from collegium.evals.formats.assembly import Assembly, mapping, read_json

FOLDERS = ("results/bench", "bench", ".")


def is_it(folder: Path) -> bool:
    """Say whether a folder is the unpacked archive."""
    return bool(_runs(folder))


def load(folder: Path) -> RoutingData:
    """Read all datasets; a model that skips one is unmeasured there."""
    found = Assembly(folder.name)
    for (task, split, model), path in _runs(folder).items():
        records = mapping(read_json(path), str(path)).get("records")
        if not isinstance(records, list):
            raise SetupError(f"{path}: expected a list 'records'")
        for place, record in enumerate(records):
            where = f"{path}, record {place}"
            cells = mapping(record, where)
            prompt_id = f"{task}.{split}.{cells.get('index', place)}"
            text = cells.get("origin_query") or cells.get("prompt") or ""
            found.add_prompt(prompt_id, str(text), task=task)
            found.add_cell(
                prompt_id,
                model,
                cells.get("score"),
                where,
                cost_usd=cells.get("cost"),
                in_tokens=cells.get("prompt_tokens"),
                out_tokens=cells.get("completion_tokens"),
            )
    return found.data(folder)


def _runs(folder: Path) -> dict[tuple[str, str, str], Path]:
    """Return the newest run of each dataset, split and model."""
    for place in FOLDERS:
        paths = sorted((folder / place).glob("*/*/*/*.json"))
        if paths:
            return {(p.parts[-4], p.parts[-3], p.parts[-2]): p for p in paths}
    return {}
