"""The chat page for everybody: keyboards, dark rooms, screen readers, quiet networks."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from playwright.async_api import expect

from tests.browser.chat_page import SQL_QUESTION, ChatPage, Service
from tests.browser.conftest import OpenPage

pytestmark = [
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(600),  # the first test to need a service waits for its engine
]

LIGHTNESS = """() => {
    const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true })
    context.fillStyle = getComputedStyle(document.documentElement).backgroundColor
    context.fillRect(0, 0, 1, 1)
    return context.getImageData(0, 0, 1, 1).data.slice(0, 3).reduce((a, b) => a + b) / 765
}"""
FOCUS = r"""() => {
    const node = document.activeElement
    const shown = [node, node.closest(".composer__box")].filter(Boolean)
        .some(element => getComputedStyle(element).outlineStyle !== "none")
    const name = node.ariaLabel ?? (node.labels?.[0] ?? node).innerText
    return [name.trim().split("\n")[0], shown]
}"""


async def test_the_page_can_be_toured_by_keyboard(chat: ChatPage) -> None:
    """Tab goes through the page in reading order, and every stop shows its focus."""
    await chat.page.evaluate("document.activeElement.blur()")
    await chat.page.evaluate("document.body.tabIndex = -1; document.body.focus()")
    stops: list[str] = []
    while not stops or stops[-1] != "Your question":
        await chat.page.keyboard.press("Tab")
        name, shown = await chat.page.evaluate(FOCUS)
        assert shown, f"'{name}' does not show its focus"
        stops.append(name)

    assert stops[:5] == [
        "Skip to the question box",
        "Conversations",
        "Answered by",
        "New conversation",
        "Dark theme",
    ]
    assert len(stops) > 10  # an example for each expert comes before the question box


async def test_the_skip_link_leads_to_the_question_box(chat: ChatPage) -> None:
    """The first link of the page jumps over everything."""
    await chat.page.get_by_role("link", name="Skip to the question box").press("Enter")

    await expect(chat.question).to_be_focused()


async def test_an_answer_can_be_studied_and_rated_by_keyboard(chat: ChatPage) -> None:
    """Why, ask another expert and rate work without a pointer."""
    answer = await chat.ask(SQL_QUESTION)
    await chat.page.keyboard.press("Shift+Tab")
    await expect(chat.button("Ask another expert")).to_be_focused()
    await chat.page.keyboard.press("Enter")
    first_choice = answer.get_by_role("group", name="Ask another expert").get_by_role("button")
    await expect(first_choice.first).to_be_focused()
    await chat.page.keyboard.press("Enter")
    await expect(chat.answers).to_have_count(2)
    await chat.finished(1)

    await answer.get_by_role("button", name="Good answer").press("Space")
    await expect(answer.get_by_role("button", name="Good answer")).to_have_attribute(
        "aria-pressed", "true"
    )
    await answer.get_by_role("button", name="Why sql?").press("Enter")
    await expect(answer.get_by_role("region", name="Why sql")).to_be_visible()


async def test_a_screen_reader_hears_the_answer_once(chat: ChatPage) -> None:
    """Words that stream are not live; the whole answer is announced when it is there."""
    answer = await chat.ask(SQL_QUESTION)
    announcer = chat.page.locator("#announcer")

    await expect(announcer).to_have_attribute("role", "status")
    await expect(announcer).to_contain_text(re.compile("^sql: SELECT"))
    live = answer.locator("xpath=ancestor-or-self::*[@aria-live or @role='log' or @role='status']")
    await expect(live).to_have_count(0)


@pytest.mark.timeout(900)
async def test_the_theme_follows_the_system(service: Service, open_page: OpenPage) -> None:
    """A dark system gets the dark page, a light one the light page."""
    for scheme, dark in (("dark", True), ("light", False)):
        chat = await (await open_page(service, color_scheme=scheme)).open()

        assert (await chat.page.evaluate(LIGHTNESS) < 0.3) == dark
        await expect(chat.button("Dark theme")).to_have_attribute("aria-pressed", str(dark).lower())


async def test_a_chosen_theme_is_remembered(chat: ChatPage) -> None:
    """The toggle wins over the system, also after a reload."""
    assert await chat.page.evaluate(LIGHTNESS) > 0.7
    await chat.button("Dark theme").click()
    assert await chat.page.evaluate(LIGHTNESS) < 0.3

    await chat.page.reload()
    await chat.expect_ready()
    assert await chat.page.evaluate(LIGHTNESS) < 0.3
    await expect(chat.button("Dark theme")).to_have_attribute("aria-pressed", "true")


async def test_a_conversation_is_quiet_and_stays_on_its_host(chat: ChatPage) -> None:
    """No error in the console, and no request to any other host."""
    await chat.ask(SQL_QUESTION)
    await chat.button("Why sql?").click()
    await chat.button("Good answer").click()
    await expect(chat.page.locator("#announcer")).to_contain_text("Rated")

    assert chat.console_errors == []
    home = urlsplit(chat.url).netloc
    assert {urlsplit(url).netloc for url in chat.requests} == {home}
