"""RouterArena (arXiv 2510.00202): `cached_results/<model>.jsonl`, marked answers of each model.

A line is `{"global_index", "question", "token_usage": {"input_tokens", "output_tokens"},
"evaluation_result": {"score", "inference_cost"}}`; unmarked answers are left out. The organisers
refuse entries that were trained on these prompts: judge with them, do not learn from them.
"""

from pathlib import Path

from collegium.evals.data import RoutingData
from collegium.evals.formats.assembly import Assembly, mapping, read_lines

FOLDER = "cached_results"


def is_it(folder: Path) -> bool:
    """Say whether a folder is RouterArena's checkout, or its results."""
    return bool(_files(folder))


def load(folder: Path) -> RoutingData:
    """Read all models; a prompt's task is its index without the number."""
    found = Assembly(folder.name)
    for path in _files(folder):
        for where, line in read_lines(path):
            prompt_id = str(line.get("global_index"))
            if not isinstance(line.get("evaluation_result"), dict):
                continue
            mark = mapping(line["evaluation_result"], where)
            usage = mapping(line.get("token_usage") or {}, where)
            found.add_prompt(
                prompt_id, str(line.get("question", "")), task=prompt_id.rsplit("_", 1)[0]
            )
            found.add_cell(
                prompt_id,
                path.stem,
                mark.get("score"),
                where,
                cost_usd=mark.get("inference_cost"),
                in_tokens=usage.get("input_tokens"),
                out_tokens=usage.get("output_tokens"),
            )
    return found.data(folder)


def _files(folder: Path) -> list[Path]:
    place = folder / FOLDER if (folder / FOLDER).is_dir() else folder
    if place.name != FOLDER:
        return []
    return sorted(place.glob("*.jsonl"))
