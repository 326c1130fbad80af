"""What the chat page says and does where it gets no answer: no connection, a refusal, no key."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Route, expect

from tests.browser.chat_page import ANSWER_MS, SQL_QUESTION, ChatPage, Service
from tests.browser.conftest import OpenPage

pytestmark = [
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(600),  # the first test to need a service waits for its engine
]


async def test_a_lost_connection_is_shown_and_retry_recovers(chat: ChatPage) -> None:
    """Without a connection the question is kept, with words and a way to ask again."""
    await chat.choose("sql")
    await chat.page.context.set_offline(True)
    await chat.send(SQL_QUESTION)
    failed = chat.answers.first
    await expect(failed.get_by_text("The service can't be reached.")).to_be_visible()

    await chat.page.context.set_offline(False)
    await failed.get_by_role("button", name="Retry").click()
    await expect(await chat.finished(0)).to_have_accessible_name("Answer from sql")
    await expect(chat.answers).to_have_count(1)


async def test_a_refused_question_says_why(chat: ChatPage) -> None:
    """The service's own words are shown, with what the person can do."""
    await chat.choose("sql")
    await chat.send("word " * 6000)
    failed = chat.answers.first

    await expect(failed.get_by_text("The question is too long for this expert.")).to_be_visible(
        timeout=ANSWER_MS
    )
    await expect(failed.get_by_text("start a new conversation")).to_be_visible()


async def test_a_service_with_a_key_is_asked_for_it_once(
    service: Service, open_page: OpenPage
) -> None:
    """A 401 opens the question for the key; a wrong one is asked again, the right one is kept."""
    chat = await open_page(service)

    async def guard(route: Route) -> None:
        if route.request.headers.get("authorization") == "Bearer right-key":
            return await route.fallback()
        error = {"message": "The API key is missing or wrong", "code": "invalid_api_key"}
        return await route.fulfill(status=401, json={"error": error})

    await chat.page.route("**/v1/**", guard)
    await chat.page.goto(chat.url)
    dialog = chat.page.get_by_role("dialog", name="This college asks for a key")
    for key in ("wrong-key", "right-key"):
        await expect(dialog.get_by_label("API key")).to_be_focused()
        await dialog.get_by_label("API key").fill(key)
        await dialog.get_by_role("button", name="Use this key").click()
        if key == "wrong-key":
            await expect(dialog.get_by_text("refused that key")).to_be_visible()
    await expect(dialog).to_be_hidden()
    await chat.expect_ready()

    await chat.page.reload()
    await chat.expect_ready()
    await expect(dialog).to_be_hidden()


async def test_a_wait_that_the_service_asks_for_counts_down(told_chat: ChatPage) -> None:
    """A refusal for too many requests says when to come back; a retry works at any time."""
    chat = told_chat
    error = {"message": "The expert's queue is full", "code": "expert_busy"}

    async def busy(route: Route) -> None:
        await route.fulfill(status=429, json={"error": error}, headers={"retry-after": "75"})

    await chat.page.route("**/v1/chat/completions", busy)
    await chat.send("One?")
    failed = chat.answers.first
    await expect(failed.get_by_text("The expert is busy.")).to_be_visible()
    wait = failed.locator(".failure__wait")
    await expect(wait).to_have_text(re.compile(r"^Worth a retry in 1 min 1\d s\.$"))
    early = await wait.inner_text()
    await expect(wait).not_to_have_text(early)

    await chat.page.unroute("**/v1/chat/completions")
    await failed.get_by_role("button", name="Retry").click()
    await chat.finished(0)


async def test_who_answered_in_the_place_of_another_is_told(told_chat: ChatPage) -> None:
    """The name on the answer is that of the expert that gave it."""
    chat = told_chat
    answer = await chat.ask("wait 1\nOne?")
    await expect(answer).to_have_accessible_name("Answer from second")
    await chat.button("Why second?").click()
    await expect(answer.get_by_text("first did not answer, so second did: expert")).to_be_visible()


async def test_a_long_question_is_folded(told_chat: ChatPage) -> None:
    """And unfolded on request."""
    chat = told_chat
    await chat.ask("many words " * 200)
    question = chat.page.locator(".exchange__question")
    folded = await question.evaluate("node => node.clientHeight")
    await chat.button("Show all").click()
    assert await question.evaluate("node => node.clientHeight") > folded
    await chat.button("Show less").click()
