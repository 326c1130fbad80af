"""The chat page where engines take turns: what it says of the wait that a decision counts."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator

import pytest
from playwright.async_api import Locator, expect

from tests.browser.conftest import OpenPage
from tests.running_service import RunningService, running_service
from tests.service.turn_takers import MEMORY_GIB, engine_python, register

pytestmark = [
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(600),
]
QUESTION = "How many metres are 3 kilometres?"


@pytest.fixture(scope="module")
def turns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service with room for one of two experts' engines, where a minute's wait costs 0.9."""
    folder = tmp_path_factory.mktemp("turns")
    url = f"sqlite+aiosqlite:///{folder / 'collegium.sqlite3'}"
    asyncio.run(register(url, folder, {"better": 0.9, "lesser": 0.85}))
    settings = {
        "COLLEGIUM_EMBEDDED": "false",
        "COLLEGIUM_ENGINE_MEMORY_GIB": str(MEMORY_GIB),
        "COLLEGIUM_ENGINE_PYTHON": str(engine_python(folder)),
        "COLLEGIUM_WAIT_PENALTY": "0.9",
    }
    with running_service(folder, **settings) as service:
        yield service


async def why(answer: Locator) -> Locator:
    """The panel that tells why an expert answers, opened."""
    await answer.get_by_role("button", name="Why").click()
    return answer.locator(".why")


async def test_a_wait_is_told_in_words_and_figures(
    turns: RunningService, open_page: OpenPage
) -> None:
    """Of who is waited for, and of who is passed over because of it; also on a telephone."""
    chat = await (await open_page(turns)).open()
    await chat.choose("lesser")
    waited = await why(await chat.ask(QUESTION))
    await expect(waited.locator(".why__reason")).to_contain_text(
        "Its engine is not loaded, and has its turn in about"
    )
    measures = waited.get_by_role("table", name="Forecast and fact")
    wait = measures.get_by_role("row", name="Of it waiting").get_by_role("cell")
    await expect(wait).to_have_text([re.compile(r"\d"), re.compile(r"\d")])

    await chat.button("New conversation").click()
    await chat.choose("auto")
    sooner = await why(await chat.ask(QUESTION))
    await expect(sooner.locator(".why__reason")).to_contain_text(
        re.compile(
            r"lesser is 85% .* better \(90%\) is not loaded, and has its turn in about \d+ s"
        )
    )
    await expect(sooner.get_by_text("Sooner than the best")).to_be_visible()
    await expect(sooner.locator("td.candidates__wait")).to_have_text(
        [re.compile(r"\d"), "\N{EN DASH}"]
    )

    await chat.page.set_viewport_size({"width": 360, "height": 740})
    await expect(sooner.locator("td.candidates__wait").first).to_be_hidden()
    assert await sooner.evaluate("why => why.scrollWidth <= why.clientWidth")
