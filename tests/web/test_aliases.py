"""The setting `model_aliases`: names that no expert has."""

from __future__ import annotations

import pytest

from collegium.errors import UnknownModel
from collegium.web.serving.aliases import Aliases
from tests.web.conftest import Serve, Web, on_shared
from tests.web.fakes import POOL
from tests.web.messages import ask, error_of, message

ALIASES = {
    "claude-*": "auto",
    "claude-haiku-*": "lists",
    "gpt-4o": "sql",
    "many": "collegium/vote",
    "gone": "nobody",
    "sql": "lists",
}


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("auto", "auto"),
        ("claude-sonnet-4-5", "auto"),
        ("claude-haiku-4-5", "auto"),  # the first pattern that fits
        ("gpt-4o", "sql"),
        ("sql", "sql"),  # an expert's own name
        ("gpt-4o-mini", "gpt-4o-mini"),
    ],
)
def test_what_a_name_stands_for(name: str, wanted: str) -> None:
    """Models keep their own names."""
    assert Aliases(ALIASES).resolve(name, POOL) == wanted


def test_an_exact_alias_comes_before_patterns() -> None:
    """Wherever it stands."""
    aliases = Aliases({"claude-*": "auto", "claude-opus": "sql"})
    assert aliases.resolve("claude-opus", POOL) == "sql"


def test_an_alias_of_no_model_says_so() -> None:
    """It is the setting that is wrong, not the caller."""
    with pytest.raises(UnknownModel, match="alias of 'nobody', which is not a model: correct"):
        Aliases(ALIASES).resolve("gone", POOL)


async def test_aliases_are_for_every_protocol(serve: Serve) -> None:
    """Also where they stand for a panel."""
    async with serve(model_aliases=ALIASES) as web:
        chat = (await web.chat("sql 1", model="claude-sonnet-4-5")).json()
        assert chat["collegium"]["decision"]["requested_model"] == "auto"
        found = await message(web, "sql 1", model="claude-sonnet-4-5")
        assert found["collegium"]["decision"]["requested_model"] == "auto"
        named = await message(web, "lists 1", model="gpt-4o")
        assert (named["model"], named["collegium"]["decision"]["policy"]) == ("sql", "named")
        panel = await message(web, "sql 1", model="many")
        assert panel["collegium"]["panel"]["mode"] == "vote"


@on_shared
async def test_an_unknown_name_says_how_to_set_an_alias(shared: Web) -> None:
    """In either protocol."""
    status, kind, told = error_of(await ask(shared, model="claude-sonnet-4-5"))
    assert (status, kind) == (404, "not_found_error")
    assert "There is no model 'claude-sonnet-4-5'" in told
    assert "model_aliases" in told
    chat = (await shared.chat(model="claude-sonnet-4-5")).json()
    assert "model_aliases" in chat["error"]["message"]
