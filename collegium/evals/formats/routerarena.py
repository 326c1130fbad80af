"""RouterArena (arXiv 2510.00202): `cached_results/<model>.jsonl`, marked answers of each model.

A line is `{"global_index", "question", "llm_selected", "token_usage": {"input_tokens",
"output_tokens"}, "success", "evaluation_result": {"score", "inference_cost"}, "run_number"}`;
unmarked answers are left out. Some of its metrics go below 0: such scores count as 0. Prices are
read from `model_cost/model_cost.json`, older checkouts have `cost.json`: dollars a million tokens,
by names in which "/" may be "_". Its cost is 0 where its authors knew no price, which is none.
The organisers refuse entries that were trained on these prompts: judge with them, do not learn
from them.
"""

from collections.abc import Mapping
from pathlib import Path

from collegium.evals.core.data import RoutingData
from collegium.evals.core.files import read_rows
from collegium.evals.core.prices import Price
from collegium.evals.formats.assembly import Assembly, mapping, number, read_json

FOLDER = "cached_results"
PRICE_FILES = ("model_cost/model_cost.json", "model_cost/cost.json")
PRICE_FIELDS = ("input_token_price_per_million", "output_token_price_per_million")
BATCH = "_batch"
"""Ends the names of models that were asked through a provider's batches, at the same price."""


def is_it(folder: Path) -> bool:
    """Say whether a folder is RouterArena's checkout, or its results."""
    return bool(_files(folder))


def load(folder: Path) -> RoutingData:
    """Read all models; a prompt's task is its index without the number."""
    found, below = Assembly(folder.name), 0
    for path in _files(folder):
        for where, line in read_rows(path):
            if isinstance(line.get("evaluation_result"), dict):
                below += _add(found, path.stem, line, where)
    if below:
        found.notes.append(f"{below} scores below 0 count as 0")
    found.prices.update(_prices(folder, [path.stem for path in _files(folder)]))
    return found.data(folder)


def _add(found: Assembly, model: str, line: Mapping[str, object], where: str) -> bool:
    """Keep a marked answer; whether its score was below 0."""
    prompt_id = str(line.get("global_index"))
    mark = mapping(line["evaluation_result"], where)
    usage = mapping(line.get("token_usage") or {}, where)
    score = number(mark.get("score"), where)
    found.add_prompt(prompt_id, str(line.get("question", "")), task=prompt_id.rsplit("_", 1)[0])
    found.add_cell(
        prompt_id,
        model,
        None if score is None else max(0.0, score),
        where,
        cost_usd=mark.get("inference_cost") or None,
        in_tokens=usage.get("input_tokens"),
        out_tokens=usage.get("output_tokens"),
    )
    return score is not None and score < 0


def _prices(folder: Path, models: list[str]) -> dict[str, Price]:
    """Return the list prices of those models whose price the checkout knows."""
    root = folder.parent if folder.name == FOLDER else folder
    path = next((root / name for name in PRICE_FILES if (root / name).is_file()), None)
    if path is None:
        return {}
    listed = mapping(read_json(path), str(path))
    known = {name.replace("/", "_"): name for name in listed}
    prices = {}
    for model in models:
        name = known.get(model) or known.get(model.removesuffix(BATCH))
        if name is not None:
            entry = mapping(listed[name], f"{path}, '{name}'")
            read, written = (number(entry.get(way), f"{path}, '{name}'") for way in PRICE_FIELDS)
            if read is not None and written is not None:
                prices[model] = Price(read, written)
    return prices


def _files(folder: Path) -> list[Path]:
    place = folder / FOLDER if (folder / FOLDER).is_dir() else folder
    if place.name != FOLDER:
        return []
    return sorted(place.glob("*.jsonl"))
