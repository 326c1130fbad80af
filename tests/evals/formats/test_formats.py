"""The public sets' own formats, on small files that are made like theirs."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from collegium.errors import SetupError
from collegium.evals.core.prices import Price
from collegium.evals.formats import load_any
from collegium.evals.formats.routerbench import prompt_text
from collegium.evals.routing.costs import cost_model


def write_csv(path: Path, rows: Sequence[Sequence[object]]) -> None:
    """Write a table, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def write_lines(path: Path, *lines: object) -> None:
    """Write JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_routerbench_is_one_wide_table(tmp_path: Path) -> None:
    """Scores and dollars a model; a prompt may be written as a list; answers can be long."""
    head = ["sample_id", "prompt", "eval_name"]
    for model in ("gpt", "mix"):
        head += [model, f"{model}|model_response", f"{model}|total_cost"]
    write_csv(
        tmp_path / "routerbench_0shot.csv",
        [
            [*head, "oracle_model_to_route_to"],
            ["a.1", "['x', 'y']", "mbpp", 1.0, "z" * 200_000, 0.02, "0.25", "r", 0.001, "gpt"],
            ["a.2", "plain", "winogrande", 0.0, "r", 0.03, "", "", "", "no_model_correct"],
        ],
    )
    data = load_any(tmp_path)
    assert data.models == ("gpt", "mix")
    assert data.prompts == ("x\ny", "plain")
    assert data.labels["task"] == ("mbpp", "winogrande")
    np.testing.assert_array_equal(data.scores, [[1, 0.25], [0, np.nan]])
    np.testing.assert_array_equal(data.extras["cost_usd"], [[0.02, 0.001], [0.03, np.nan]])


@pytest.mark.parametrize("name", ["routerbench_0shot.pkl", "routerbench_raw.parquet"])
def test_pickles_are_refused(tmp_path: Path, name: str) -> None:
    """Reading one can run anything; the error says how to convert it."""
    (tmp_path / name).write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    with pytest.raises(SetupError, match=r"run code.*to_csv"):
        load_any(tmp_path)


@pytest.mark.parametrize(
    ("cell", "text"),
    [("['a', 'b']", "a\nb"), ("[1] is a reference", "[1] is a reference"), ("plain", "plain")],
)
def test_lists_of_prompts_are_joined(cell: str, text: str) -> None:
    """A bracket alone makes no list."""
    assert prompt_text(cell) == text


def test_routerarena_is_a_file_a_model(tmp_path: Path) -> None:
    """Marked answers with their dollars and tokens; what nobody marked is not measured."""

    def answer(index: str, score: float | None) -> dict[str, object]:
        marked = None if score is None else {"score": score, "inference_cost": 0.5}
        usage = {"input_tokens": 7, "output_tokens": 9}
        return {
            "global_index": index,
            "question": f"q {index}",
            "token_usage": usage,
            "evaluation_result": marked,
        }

    results = tmp_path / "cached_results"
    write_lines(results / "small.jsonl", answer("AIME_1", 1.0), answer("ArcMMLU_2", None))
    write_lines(results / "big.jsonl", answer("AIME_1", 0.0), answer("ArcMMLU_2", 1.0))
    for folder in (tmp_path, results):
        data = load_any(folder)
        assert data.models == ("big", "small")
        assert data.labels["task"] == ("AIME", "ArcMMLU")
        np.testing.assert_array_equal(data.scores, [[0, 1], [1, np.nan]])
        np.testing.assert_array_equal(data.extras["out_tokens"], [[9, 9], [9, np.nan]])
        assert np.nanmax(data.extras["cost_usd"]) == 0.5


def test_routerarenas_prices_and_scores_below_zero(tmp_path: Path) -> None:
    """A slash in a price's name is "_" in the file's; 0 dollars and failed calls tell nothing."""

    def answer(index: str, **changes: object) -> dict[str, object]:
        marked = {"score": 0.5, "metric": "geo", "inference_cost": 0.0, **changes}
        usage = {"input_tokens": 1000, "output_tokens": 2000, "total_tokens": 3000}
        return {
            "global_index": index,
            "question": f"q {index}",
            "llm_selected": "maker/small",
            "token_usage": usage,
            "success": True,
            "evaluation_result": marked,
            "run_number": 1,
        }

    failed = {**answer("GeoBench_3"), "success": False, "evaluation_result": None}
    lines = answer("GeoBench_1", score=-0.25), answer("GeoBench_2"), failed
    write_lines(tmp_path / "cached_results" / "maker_small.jsonl", *lines)
    write_lines(tmp_path / "cached_results" / "big_batch.jsonl", *lines)
    price = {"input_token_price_per_million": 1, "output_token_price_per_million": 4}
    listed = {"maker/small": price, "big": price, "other": price}
    write_lines(tmp_path / "model_cost" / "model_cost.json", listed)
    data = load_any(tmp_path / "cached_results")
    np.testing.assert_array_equal(data.scores, [[0, 0], [0.5, 0.5]])
    assert data.notes == ("2 scores below 0 count as 0",)
    assert data.prices == {"big_batch": Price(1, 4), "maker_small": Price(1, 4)}
    assert "cost_usd" not in data.extras
    assert cost_model(data).usd[0, 0] == pytest.approx(0.009)


def test_llmrouterbench_is_a_tree(tmp_path: Path) -> None:
    """The newest run counts; a model that skips a dataset is not measured there."""

    def run(path: str, *scores: float) -> None:
        records = [
            {
                "index": i,
                "origin_query": f"q{i}",
                "prompt": f"long q{i}",
                "score": score,
                "cost": 0.1,
                "prompt_tokens": 3,
                "completion_tokens": 4,
            }
            for i, score in enumerate(scores)
        ]
        file = tmp_path / "results" / "bench" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"performance": 0.5, "records": records}))

    run("aime/test/alpha/20250101.json", 0, 0)
    run("aime/test/alpha/20250202.json", 1, 0)
    run("aime/test/beta/20250101.json", 0, 1)
    run("bbh/test/beta/20250101.json", 1)
    data = load_any(tmp_path)
    assert data.prompt_ids == ("aime.test.0", "aime.test.1", "bbh.test.0")
    assert data.prompts[0] == "q0"
    np.testing.assert_array_equal(data.scores, [[1, 0], [0, 1], [np.nan, 1]])
    assert np.nanmin(data.extras["in_tokens"]) == 3


def test_routellm_is_a_table_a_subject(tmp_path: Path) -> None:
    """Names and prices of the shared set; contaminated prompts are labelled."""
    evals = tmp_path / "routellm" / "evals"
    models = ["mixtral-8x7b-instruct-v0.1", "gpt-4-1106-preview"]
    write_csv(
        evals / "mmlu" / "responses" / "mmlu_anatomy.csv",
        [["prompt", *models], ["one", "True", "True"], ["two", "False", "True"]],
    )
    write_csv(
        evals / "gsm8k" / "gsm8k_responses.csv",
        [["prompt", *models, "response"], ["three", "False", "False", "text"]],
    )
    write_lines(evals / "mmlu" / "contaminated_prompts.jsonl", {"eval_prompt": "two"})
    data = load_any(tmp_path)
    assert data.models == ("weak_mixtral_8x7b_instruct", "strong_gpt4_1106_preview")
    np.testing.assert_array_equal(data.scores, [[1, 1], [0, 1], [0, 0]])
    assert data.labels["contaminated"] == (0, 1, 0)
    assert data.labels["domain"] == ("anatomy", "anatomy", "gsm8k")


def test_absent_files_are_said_in_words(tmp_path: Path) -> None:
    """An empty folder names all the formats; no folder at all is said too."""
    with pytest.raises(SetupError, match="RouterBench, RouterArena, LLMRouterBench, RouteLLM"):
        load_any(tmp_path)
    with pytest.raises(SetupError, match="not a folder"):
        load_any(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("cached_results/m.jsonl", "{oops", r"m\.jsonl, line 1: expected a JSON object"),
        ("cached_results/m.jsonl", "[]", "line 1: expected a JSON object"),
        ("cached_results/m.jsonl", '{"global_index": "A_1"}', "found no outcome"),
        (
            "cached_results/m.jsonl",
            '{"global_index": "A_1", "evaluation_result": {"score": 7}}',
            r"line 1: expected a score in \[0, 1\], found 7",
        ),
        ("bench/a/test/m/1.json", "{}", "expected a list 'records'"),
        ("bench/a/test/m/1.json", "{oops", r"1\.json: expected JSON"),
        ("gsm8k/gsm8k_responses.csv", "prompt,other\na,True\n", "expected the columns 'prompt'"),
        (
            "gsm8k/gsm8k_responses.csv",
            "prompt,mixtral-8x7b-instruct-v0.1,gpt-4-1106-preview\na,maybe,True\n",
            "line 2: expected a number, found 'maybe'",
        ),
        (
            "gsm8k/gsm8k_responses.csv",
            "prompt,mixtral-8x7b-instruct-v0.1,gpt-4-1106-preview\na,True\n",
            "line 2: expected 3 cells, as in line 1, found 2",
        ),
    ],
)
def test_garbled_files_are_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    """Which file, which line, what was expected."""
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(SetupError, match=message):
        load_any(tmp_path)
