"""The chat page when the engine crashes. (A file of its own: another worker may run it.)"""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.browser.chat_page import ANSWER_MS, READY_MS, ChatPage, CrashableService

pytestmark = [
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(1200),
]


async def test_a_crashed_engine_is_shown_and_retry_recovers(
    crashable_service: CrashableService, crashable_chat: ChatPage
) -> None:
    """A crash in mid-answer keeps the text and says what happened; retry waits for the engine."""
    chat = crashable_chat
    answer = await chat.begin_story()
    crashable_service.kill_engine()
    await expect(answer).to_have_attribute("data-state", "failed", timeout=ANSWER_MS)
    failure = answer.locator(".failure")
    await expect(failure.locator(".failure__message")).to_have_text("The expert stopped working.")
    await expect(answer.locator(".prose")).not_to_be_empty()
    await expect(chat.page.locator("#announcer")).to_contain_text("No answer.")

    await failure.get_by_role("button", name="Retry").click()
    await expect(answer.get_by_text("The experts are not ready yet.")).to_be_visible()
    await chat.expect_ready()
    await chat.expect_streaming(answer)
    await expect(failure).to_be_hidden()
    await chat.button("Stop").click()
    await expect(answer).to_have_attribute("data-state", "stopped", timeout=READY_MS)
