"""Commands against the running service."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from tests.running_service import RunningService

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pool_report(
    service: RunningService, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, str]:
    """The JSON and the page of a small run on the real pool, with chat where its prompts are."""
    page = tmp_path_factory.mktemp("report") / "pool.html"
    data = os.environ.get("COLLEGIUM_DATA")
    chat = ("--data", data) if data else ("--no-chat",)
    done = service.cli("eval", "pool", "--per-task", "5", *chat, "--json", "--html", str(page))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), page.read_text()


def test_eval_pool_prints_the_headline_numbers(pool_report: tuple[Any, str]) -> None:
    """The router is far above the best single expert."""
    report, page = pool_report
    assert report["best_single"] < report["router"] <= report["oracle"]
    assert report["gap_closed"]["estimate"] > 0.5
    assert "<svg" in page


@pytest.mark.usefixtures("shared_data")
def test_chat_prompts_go_to_the_generalist(pool_report: tuple[Any, str]) -> None:
    """At least 95 % of real chat prompts; the data set lies beside the project."""
    chat = pool_report[0]["chat"]
    assert chat["prompts"] == 805
    assert chat["share"]["estimate"] >= 0.95


def test_explain_says_why(service: RunningService) -> None:
    """Words first, then every candidate."""
    done = service.cli("router", "explain", "Convert 7 kilometres to metres. Number only.")
    assert done.returncode == 0, done.stderr
    assert "likely to be right" in done.stdout
    assert "smollm2" in done.stdout


def test_chat_answers_one_message(service: RunningService) -> None:
    """The terminal shows who answers and the answer."""
    done = service.cli("chat", "--model", "smollm2", "--message", "Say hello.")
    assert done.returncode == 0, done.stderr
    assert "[smollm2]" in done.stderr
    assert done.stdout.strip()


def test_doctor_finds_nothing_wrong_here(service: RunningService) -> None:
    """Every check is ok on a machine that serves."""
    done = service.cli("doctor", "--json")
    findings = json.loads(done.stdout)
    assert [f for f in findings if not f["ok"]] == []
    assert done.returncode == 0


def test_probe_asks_an_expert(service: RunningService) -> None:
    """The probe shows what it said."""
    done = service.cli("expert", "probe", "smollm2", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["answer"]


def test_serve_says_that_the_port_is_taken(service: RunningService) -> None:
    """One clear line, and no engine was started for it."""
    done = service.cli("serve")
    assert done.returncode == 1
    assert "can't listen" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_settings_errors_name_the_setting(service: RunningService) -> None:
    """A wrong value is one clear line."""
    service_environment = service.environment | {"COLLEGIUM_ENGINE_CONTEXT": "7"}
    broken = RunningService(service.url, service.data_dir, service.process, service_environment)
    done = broken.cli("expert", "list")
    assert done.returncode == 1
    assert "engine_context" in done.stderr
    assert os.linesep not in done.stderr.strip()
