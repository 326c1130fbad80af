"""RouteLLM (arXiv 2406.18665): `mmlu/responses/mmlu_<subject>.csv` and `gsm8k/gsm8k_responses.csv`.

Columns: `prompt`, then a model each with True or False; further columns are none of our business.
The models get the names of the shared set, so that they have RouteLLM's published prices. Prompts
of `contaminated_prompts.jsonl` beside them are labelled, and not judged. MT-Bench's judgements on a
scale to ten are no accuracies, and are not read.
"""

from pathlib import Path

from collegium.errors import SetupError
from collegium.evals.core.data import RoutingData
from collegium.evals.core.files import columns, read_rows
from collegium.evals.formats.assembly import Assembly

MODELS = {
    "gpt-4-1106-preview": "strong_gpt4_1106_preview",
    "mixtral-8x7b-instruct-v0.1": "weak_mixtral_8x7b_instruct",
    "mistralai/Mixtral-8x7B-Instruct-v0.1": "weak_mixtral_8x7b_instruct",
}
FOLDERS = ("routellm/evals", "evals", ".")


def is_it(folder: Path) -> bool:
    """Say whether a folder is RouteLLM's checkout, or its `evals`."""
    return bool(_files(folder))


def load(folder: Path) -> RoutingData:
    """Read both benchmarks, whichever is there."""
    found = Assembly(folder.name)
    for path, benchmark, domain in _files(folder):
        models = [name for name in columns(path) if name in MODELS]
        if len(models) < 2 or "prompt" not in columns(path):
            raise SetupError(
                f"{path}: expected the columns 'prompt' and two of {', '.join(MODELS)}"
            )
        tainted = _contaminated(path)
        for place, (where, row) in enumerate(read_rows(path, empty=True)):
            prompt_id = f"{benchmark}.{domain}.{place}"
            found.add_prompt(
                prompt_id,
                str(row["prompt"]),
                benchmark=benchmark,
                domain=domain,
                contaminated=int(row["prompt"] in tainted),
            )
            for model in models:
                found.add_cell(prompt_id, MODELS[model], row[model], where)
    return found.data(folder)


def _files(folder: Path) -> list[tuple[Path, str, str]]:
    for place in (folder / name for name in FOLDERS):
        found = [
            (path, "mmlu", path.stem.removeprefix("mmlu_"))
            for path in sorted(place.glob("mmlu/responses/mmlu_*.csv"))
        ]
        found += [(path, "gsm8k", "gsm8k") for path in place.glob("gsm8k/gsm8k_responses.csv")]
        if found:
            return found
    return []


def _contaminated(path: Path) -> set[str]:
    """Return the prompts that the authors found in their training data."""
    folder = path.parent.parent if path.parent.name == "responses" else path.parent
    Listed = folder / "contaminated_prompts.jsonl"
    if not Listed.is_file():
        return set()
    return {str(line.get("eval_prompt")) for _, line in read_rows(Listed)}
