"""RouterBench (arXiv 2403.12031): one wide table, with dollars a query.

Columns: `sample_id, prompt, eval_name`, and for each model `<model>` (score), `<model>|total_cost`
and `<model>|model_response`. Its authors publish pickles, which can run code when they are read:
they are refused; convert one to CSV where you trust it.
"""

import ast
from pathlib import Path

from collegium.errors import SetupError
from collegium.evals.core.data import RoutingData
from collegium.evals.core.files import columns, read_rows
from collegium.evals.formats.assembly import Assembly

COST = "|total_cost"
NEEDED = ("sample_id", "prompt", "eval_name")
REFUSED = ("*.pkl", "*.parquet")
HINT = "pandas.read_pickle(…).to_csv('routerbench.csv', index=False)"


def is_it(folder: Path) -> bool:
    """Say whether a folder has RouterBench's table, in whatever file format."""
    refused = [path for pattern in REFUSED for path in folder.glob(pattern)]
    return bool(_tables(folder) or any("routerbench" in path.name for path in refused))


def load(folder: Path) -> RoutingData:
    """Read every table of the folder."""
    tables = _tables(folder)
    if not tables:
        raise SetupError(
            f"'{folder}' has RouterBench as pickle or Parquet only. A pickle can run code when it "
            f"is read, so none is read here: where you trust it, convert it with {HINT}"
        )
    found = Assembly(folder.name)
    for path in tables:
        models = [name.removesuffix(COST) for name in columns(path) if name.endswith(COST)]
        for where, row in read_rows(path, empty=True):
            prompt_id = str(row["sample_id"])
            found.add_prompt(prompt_id, prompt_text(str(row["prompt"])), task=row["eval_name"])
            for model in models:
                cost = row[model + COST]
                found.add_cell(prompt_id, model, row.get(model), where, cost_usd=cost)
    return found.data(folder)


def prompt_text(cell: str) -> str:
    """Return the text of a prompt that was written as a Python list of texts."""
    if not cell.startswith("["):
        return cell
    try:
        parts = ast.literal_eval(cell)
    except (ValueError, SyntaxError):
        return cell
    return "\n".join(map(str, parts)) if isinstance(parts, list) else cell


def _tables(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("*.csv")) if _is_table(path)]


def _is_table(path: Path) -> bool:
    try:
        names = columns(path)
    except SetupError:  # no CSV that anybody can read
        return False
    return set(NEEDED) <= set(names) and any(name.endswith(COST) for name in names)
