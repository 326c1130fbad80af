"""Real clients, untouched but for address and key, on the real pool and a scripted upstream."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.clients.conftest import HERE, Place, node, python, run

pytestmark = pytest.mark.slow
EVERYWHERE = ["openai_sdk.py", "anthropic_sdk.py", "langchain_client.py", "llamaindex_client.py"]
WITH_TOOLS = ["instructor_client.py", "pydantic_ai_client.py"]
OF_NODE = ["openai_sdk.mjs", "anthropic_sdk.mjs", "ai_sdk.mjs"]


@pytest.mark.parametrize("program", [*EVERYWHERE, *WITH_TOOLS])
def test_clients_in_python(program: str, scripted: Place) -> None:
    """Whole and streamed answers, tools and structured answers."""
    python(program, scripted)


def test_the_next_major_version_of_openais_sdk(scripted: Place) -> None:
    """It has another HTTP library."""
    python("openai_sdk.py", scripted, version3=True)


@pytest.mark.parametrize("program", OF_NODE)
def test_clients_in_node(program: str, scripted: Place) -> None:
    """OpenAI's, Anthropic's and Vercel's."""
    node(program, scripted)


def test_litellm_as_a_client(scripted: Place) -> None:
    """By its providers for OpenAI and Anthropic; it is in our own environment."""
    run([sys.executable, str(HERE / "python" / "litellm_client.py"), *scripted.arguments()])


@pytest.mark.parametrize("program", EVERYWHERE)
def test_clients_in_python_on_the_real_pool(program: str, pool: Place) -> None:
    """The same programs, where small models answer."""
    python(program, pool)


@pytest.mark.parametrize("program", OF_NODE)
def test_clients_in_node_on_the_real_pool(program: str, pool: Place) -> None:
    """The same programs, where small models answer."""
    node(program, pool)


def test_the_scripts_are_all_run() -> None:
    """None is forgotten here."""
    written = {p.name for folder in ("python", "node") for p in Path(HERE, folder).glob("*_*.*")}
    known = {*EVERYWHERE, *WITH_TOOLS, *OF_NODE, "litellm_client.py"}
    assert {name for name in written if not name.endswith(".json")} == known
