"""`collegium application …` against a service in another process, without experts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from collegium.cli.application_command import command
from collegium.errors import CollegiumError
from collegium.registry.application import Application
from collegium.registry.applications import ApplicationRegistry
from collegium.registry.expert import Expert
from collegium.registry.experts import ExpertRegistry
from collegium.registry.storage.database import Database
from tests.cli.served import served_on

ROUTER_TEXT = "You are the order desk of Contoso, a retailer of outdoor equipment in Europe."


@pytest.fixture(scope="module", autouse=True)
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A service with three applications."""
    with served_on(tmp_path_factory.mktemp("served"), _fill):
        yield


async def _fill(database: Database) -> None:
    await ExpertRegistry(database).register(
        Expert("gpt4", "openai", "gpt4", base_url="http://x/v1")
    )
    await ApplicationRegistry(database).keep(
        [
            Application("app-1f2e3d4c", text=ROUTER_TEXT, seen=6),
            Application("support-chat", tagged=True, seen=3),
            Application("desk/night: é", tagged=True, seen=1),
        ]
    )


def run(*arguments: str) -> str:
    """What the command printed; our own errors are raised."""
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def told(*arguments: str) -> Any:
    """The command's JSON."""
    return json.loads(run(*arguments, "--json"))


def test_the_list_begins_with_the_busiest() -> None:
    """With their shares; as a table and as JSON."""
    lines = run("list").splitlines()
    assert lines[0].split() == ["KEY", "NAME", "REQUESTS", "SHARE", "MERGED", "TEXT"]
    assert lines[1].startswith("app-1f2e3d4c")
    assert "60.0%" in lines[1]
    assert [a["key"] for a in told("list", "--limit", "1")] == ["app-1f2e3d4c"]


def test_keys_are_whatever_callers_choose() -> None:
    """Slashes, colons, blanks and letters of any language."""
    assert told("show", "desk/night: é")["requests"] == 1


def test_an_application_is_named() -> None:
    """And loses the name again."""
    assert told("name", "app-1f2e3d4c", "Order desk")["name"] == "Order desk"
    assert "Order desk" in run("show", "app-1f2e3d4c")
    assert told("name", "app-1f2e3d4c", "")["name"] == ""


def test_a_policy_is_set_shown_and_cleared() -> None:
    """Rules that are not named stay."""
    options = ("--tradeoff", "5", "--deny", "gpt4", "--tag", "eu")
    set_ = told("policy", "support-chat", *options)["policy"]
    assert set_ == {"tradeoff": 5.0, "experts_deny": ["gpt4"], "required_tags": ["eu"]}
    told("policy", "support-chat", "--max-cost-usd", "0.01")
    shown = json.loads(run("policy", "support-chat"))
    assert shown == set_ | {"max_cost_usd": 0.01}
    assert told("policy", "support-chat", "--clear", "--tradeoff", "1")["policy"] == {"tradeoff": 1}


def test_a_merge_is_made_and_undone() -> None:
    """Its requests count for the other one as long as it lasts."""
    assert told("merge", "app-1f2e3d4c", "support-chat")["merged_into"] == "support-chat"
    assert told("show", "support-chat")["requests"] == 9
    split = told("split", "support-chat", "--fingerprint", "app-1f2e3d4c")
    assert (split["key"], split["merged_into"]) == ("app-1f2e3d4c", None)


def test_what_is_wrong_is_told_by_the_service() -> None:
    """In its words."""
    with pytest.raises(CollegiumError, match="no application has the key 'nobody'"):
        run("show", "nobody")
    with pytest.raises(CollegiumError, match="experts that are not registered: gpt5"):
        run("policy", "support-chat", "--deny", "gpt5")


def test_without_a_service_it_says_how_to_start_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody recognises applications then."""
    monkeypatch.setenv("COLLEGIUM_DATA_DIR", str(tmp_path))
    with pytest.raises(CollegiumError, match="collegium serve"):
        run("list")
