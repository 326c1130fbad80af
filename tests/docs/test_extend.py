"""The guide's plugin is installed as a distribution and used by a real service."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.distributions import environment, installed
from tests.docs.blocks import files_of
from tests.running_service import RunningService, running_service

GUIDE = "docs/guides/extend.md"
PROMPTS = tuple(
    {"prompt": f"The capital of land {i} is Rome", "reference": "Rome" if i % 2 else "Bern"}
    for i in range(40)
)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the guide's distribution is installed into."""
    folder = tmp_path_factory.mktemp("extend")
    return installed(files_of(GUIDE), folder / "acme-collegium", folder / "target")


@pytest.fixture(scope="module")
def extended(target: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service beside which it is installed, without an engine."""
    path = environment(target)["PYTHONPATH"]
    data = tmp_path_factory.mktemp("extended")
    settings = {"COLLEGIUM_EMBEDDED": "false", "COLLEGIUM_RECORD": "full", "PYTHONPATH": path}
    with running_service(data, **settings) as service:
        yield service


def test_the_guide_has_the_files_of_a_distribution() -> None:
    """An expert kind, a checker and the project that names both."""
    assert set(files_of(GUIDE)) == {"acme_echo.py", "acme_brief.py", "pyproject.toml"}


def test_doctor_lists_what_the_guides_plugin_adds(target: Path, tmp_path: Path) -> None:
    """By its names and its distribution; all of it can be imported."""
    told = subprocess.run(
        [sys.executable, "-m", "collegium", "doctor", "--json"],
        capture_output=True, text=True, env=environment(target, COLLEGIUM_DATA_DIR=str(tmp_path)),
    )  # fmt: skip
    findings = {finding["check"]: finding for finding in json.loads(told.stdout)}
    assert findings["extensions"]["ok"], findings["extensions"]
    found = findings["extensions"]["found"]
    assert "expert.echo (acme-collegium 1.0)" in found
    assert "checker.brief (acme-collegium 1.0)" in found


def test_names_of_the_plugin_are_listed_without_importing_it(target: Path) -> None:
    """As all others."""
    code = (
        "import sys; from collegium.extensions import extensions\n"
        "assert {'echo', 'openai'} <= set(extensions().names('expert'))\n"
        "assert {'brief', 'number'} <= set(extensions().names('checker'))\n"
        "assert not {'acme_echo', 'acme_brief'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], env=environment(target), check=True)


@pytest.mark.slow
def test_the_guides_expert_answers(extended: RunningService) -> None:
    """Registered by the guide's command, whole and streamed."""
    added = extended.cli("expert", "add", "parrot", "--kind", "echo")
    assert added.returncode == 0, added.stderr
    body: Any = {"model": "parrot", "messages": [{"role": "user", "content": "hello"}]}
    whole = httpx.post(f"{extended.url}/v1/chat/completions", json=body).json()
    assert whole["model"] == "parrot"
    assert whole["choices"][0]["message"]["content"] == "You said: hello"
    streamed = httpx.post(f"{extended.url}/v1/chat/completions", json=body | {"stream": True})
    assert "You said: hello" in streamed.text
    assert streamed.text.rstrip().endswith("data: [DONE]")


@pytest.mark.slow
def test_the_guides_checker_marks_a_learning_run(extended: RunningService, tmp_path: Path) -> None:
    """By the guide's command: half of the prompts have their reference in the answers."""
    extended.cli("expert", "add", "parrot", "--kind", "echo")
    extended.cli("expert", "add", "parakeet", "--kind", "echo")
    file = tmp_path / "prompts.jsonl"
    file.write_text("".join(f"{json.dumps(prompt)}\n" for prompt in PROMPTS))
    command = ("learn", "--from", str(file), "--yes", "--json")
    checker = json.dumps({"name": "brief", "most": 20})
    told = extended.cli(*command, "--checker", checker)
    assert told.returncode == 0, told.stderr
    query = "SELECT source, score, COUNT(*) FROM marks GROUP BY source, score ORDER BY score"
    with closing(sqlite3.connect(extended.data_dir / "collegium.sqlite3")) as database:
        found = database.execute(query).fetchall()
    assert found == [("checker", 0.0, 40), ("checker", 1.0, 40)]


@pytest.mark.slow
def test_an_unknown_kind_is_refused_with_those_that_there_are(extended: RunningService) -> None:
    """And with the distribution of each."""
    refused = extended.cli("expert", "add", "owl", "--kind", "ecco")
    assert refused.returncode == 1
    assert "echo (acme-collegium 1.0)" in refused.stderr
    assert "openai (collegium" in refused.stderr


@pytest.mark.slow
def test_an_expert_whose_plugin_is_gone_hurts_nobody_else(
    target: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """It is unavailable, says why, and can still be changed and removed."""
    data = tmp_path_factory.mktemp("gone")
    with_it = environment(target)["PYTHONPATH"]
    settings = {"COLLEGIUM_EMBEDDED": "false"}
    with running_service(data, PYTHONPATH=with_it, **settings) as service:
        assert service.cli("expert", "add", "parrot", "--kind", "echo").returncode == 0
    with running_service(data, PYTHONPATH=environment()["PYTHONPATH"], **settings) as service:
        body = {"model": "parrot", "messages": [{"role": "user", "content": "hello"}]}
        answer = httpx.post(f"{service.url}/v1/chat/completions", json=body)
        assert answer.status_code == 503
        assert "There is no kind of expert 'echo'" in answer.json()["error"]["message"]
        assert httpx.get(f"{service.url}/v1/models").status_code == 200
        assert service.cli("expert", "disable", "parrot").returncode == 0
        assert service.cli("expert", "remove", "parrot").returncode == 0
