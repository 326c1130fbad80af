"""A panel on the chat page: answers side by side, votes, the choice, and another pick."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.async_api import expect

from tests.browser.chat_page import ChatPage
from tests.browser.conftest import OpenPage
from tests.running_service import RunningService
from tests.service.panels import panel_service

pytestmark = [
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(600),
]
QUESTION = "Convert 42 metres to metres. Number only."


@pytest.fixture(scope="module")
def panels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service whose experts do as their names say."""
    with panel_service(tmp_path_factory.mktemp("panel-page")) as service:
        yield service


async def opened(panels: RunningService, open_page: OpenPage, **options: object) -> ChatPage:
    """The page of that service."""
    return await (await open_page(panels, **options)).open()


async def test_members_votes_and_the_choice_are_side_by_side(
    panels: RunningService, open_page: OpenPage
) -> None:
    """Each seat has its expert, its words and its votes; the winner is marked and is the answer."""
    chat = await opened(panels, open_page)
    await chat.choose("collegium/vote")
    answer = await chat.ask(QUESTION)
    seats = answer.get_by_role("listitem")
    await expect(seats).to_have_count(3)
    await expect(seats.nth(0)).to_contain_text("right")
    await expect(seats.nth(0)).to_contain_text("2 votes · taken")
    await expect(seats.nth(1)).to_contain_text("The answer is 42")
    await expect(seats.nth(2)).to_contain_text("41")
    await expect(seats.nth(2)).to_contain_text("1 vote")
    await expect(answer.locator(".panel__verdict")).to_have_text("right: 2 of 3 agree.")
    await expect(answer.locator(".prose")).to_have_text("42")
    await expect(answer.locator(".panel__facts").first).to_contain_text("¢")


async def test_another_answer_can_be_preferred(panels: RunningService, open_page: OpenPage) -> None:
    """The pick is recorded with its expert, marked, and carries the conversation on."""
    chat = await opened(panels, open_page)
    await chat.choose("collegium/vote")
    answer = await chat.ask(QUESTION)
    async with chat.page.expect_response("**/v1/feedback") as sent:
        await answer.get_by_role("button", name="Prefer the answer of wrong").click()
    decision = (await (await sent.value).json())["decision_id"]
    await expect(answer.locator(".prose")).to_have_text("41")
    await expect(answer.get_by_role("listitem").nth(2)).to_contain_text("taken")
    with httpx.Client(base_url=panels.url) as http:
        kept = http.get(f"/v1/decisions/{decision}").json()
    assert kept["feedback"][0]["preferred"] == "wrong"
    async with chat.page.expect_request("**/v1/chat/completions") as next_request:
        await chat.send("And in feet?")
    sent_body: Any = (await next_request.value).post_data_json
    messages = sent_body["messages"]
    assert messages[1] == {"role": "assistant", "content": "41 "}


async def test_a_narrow_screen_stacks_the_seats(
    panels: RunningService, open_page: OpenPage
) -> None:
    """Nothing sticks out at the side of a telephone."""
    chat = await opened(panels, open_page, viewport={"width": 360, "height": 740})
    await chat.choose("collegium/vote")
    answer = await chat.ask(QUESTION)
    await expect(answer.get_by_role("listitem")).to_have_count(3)
    wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    assert not await chat.page.evaluate(wide)
