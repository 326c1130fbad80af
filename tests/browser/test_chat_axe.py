"""The chat page as axe-core judges it, by keyboard alone, and on a telephone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from tests.browser.chat_page import ChatPage
from tests.browser.conftest import OpenPage
from tests.running_service import RunningService

pytestmark = [
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(600),
]

AXE = Path(__file__).parent / "vendor" / "axe-core" / "axe.min.js"
RUN = """async () => (await axe.run()).violations.map(({ impact, id, nodes }) =>
    [impact, id, ...nodes.map(({ target }) => target.join(" "))])"""
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
NARROW_PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True}
KINDS: list[dict[str, Any]] = [
    {},
    {"color_scheme": "dark"},
    PHONE,
    {**PHONE, "color_scheme": "dark"},
]
NAMES = ["light", "dark", "phone", "dark phone"]
ANSWER = """say
# Title

A [link](https://example.org), `code` and *words*.

- [x] done
- [ ] to do

| a | b |
|---|---|
| 1 | 2 |

```js
let aVeryLongLineThatHasToScroll = "so that there is something to scroll, and more of it, and more"
```

> quoted
"""


async def violations(chat: ChatPage) -> list[Any]:
    """What axe finds, of any weight."""
    await chat.page.evaluate(AXE.read_text())
    found: list[Any] = await chat.page.evaluate(RUN)
    return found


@pytest.mark.parametrize("options", KINDS, ids=NAMES)
async def test_nothing_is_wrong_on_the_page(
    told: RunningService, open_page: OpenPage, options: dict[str, Any]
) -> None:
    """The empty page, answers with all they hold, the list, files, an edit and a failure."""
    chat = await (await open_page(told, **options)).open()
    assert await violations(chat) == []

    answer = await chat.ask(ANSWER)
    await answer.get_by_role("button", name="Why first?").click()
    await answer.get_by_role("button", name="Ask another expert").click()
    await answer.get_by_role("button", name="Poor answer").click()
    await expect(answer.get_by_label("Failed")).to_be_visible()
    assert await violations(chat) == []

    await answer.get_by_role("button", name="Ask again").click()
    await chat.finished(1)
    await chat.button("Edit").click()
    assert await violations(chat) == []
    await chat.page.keyboard.press("Escape")

    await chat.button("Conversations").click()
    await chat.page.get_by_role("button", name=re.compile("^More for")).click()
    assert await violations(chat) == []
    await chat.button("Close the list").click()

    await chat.attach(("notes.txt", "text/plain", b"hello"))
    await chat.page.context.set_offline(True)
    await chat.send("Is anybody there?")
    await expect(chat.page.locator(".failure__message").last).to_contain_text("be reached")
    assert await violations(chat) == []


async def test_the_key_prompt_is_in_order(told: RunningService, open_page: OpenPage) -> None:
    """The dialog that asks for a key."""
    chat = await open_page(told)
    error = {"message": "The API key is missing or wrong", "code": "invalid_api_key"}
    await chat.page.route(
        "**/v1/**", lambda route: route.fulfill(status=401, json={"error": error})
    )
    await chat.page.goto(chat.url)
    await expect(chat.page.get_by_role("dialog")).to_be_visible()
    assert await violations(chat) == []


async def test_everything_works_by_keyboard(told_chat: ChatPage) -> None:
    """Ask, edit, the list, rename and delete: focus is always where the person left off."""
    chat, press = told_chat, told_chat.page.keyboard.press
    await chat.ask("One?")
    await chat.button("Edit").press("Enter")
    await expect(chat.page.get_by_label("The question in other words")).to_be_focused()
    await press("Escape")
    await expect(chat.button("Edit")).to_be_focused()

    await chat.button("Conversations").press("Enter")
    more = chat.page.get_by_role("button", name="More for One?")
    await more.press("Enter")
    await expect(chat.button("Rename")).to_be_focused()
    await press("Enter")
    await expect(chat.page.get_by_label("New name")).to_be_focused()
    await chat.page.keyboard.type("Numbers")
    await press("Enter")
    more = chat.page.get_by_role("button", name="More for Numbers")
    await expect(more).to_be_focused()
    await press("Enter")
    await chat.button("Delete").press("Enter")
    await expect(chat.button("Delete for good")).to_be_focused()
    await press("Enter")
    await expect(chat.page.get_by_label("Search all conversations")).to_be_focused()
    await expect(chat.answers).to_have_count(0)


async def test_the_list_over_a_telephones_page_keeps_the_focus(
    told: RunningService, open_page: OpenPage
) -> None:
    """It is a dialog there: Escape closes it, and the button that opened it has the focus again."""
    chat = await (await open_page(told, **PHONE)).open()
    await chat.ask("One?")
    await chat.button("Conversations").press("Enter")
    dialog = chat.page.get_by_role("dialog", name="Conversations")
    for _ in range(12):
        await chat.page.keyboard.press("Tab")
        outside = (
            "document.activeElement !== document.body && !document.activeElement.closest('dialog')"
        )
        assert not await chat.page.evaluate(outside)
    await chat.page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await expect(chat.button("Conversations")).to_be_focused()


async def test_nothing_moves_for_whoever_wants_no_motion(
    told: RunningService, open_page: OpenPage
) -> None:
    """Neither the dots while it waits nor the mark where the words appear."""
    chat = await (await open_page(told, reduced_motion="reduce")).open()
    await chat.send("slowly\n" + "word " * 200)
    await expect(chat.answers.first).to_have_attribute("data-state", "streaming")
    assert await chat.page.evaluate("document.getAnimations().length") == 0
    await chat.button("Stop").click()


async def test_words_that_stream_are_not_read_one_by_one(told_chat: ChatPage) -> None:
    """The answer is busy while it grows, and is announced once, when it is whole."""
    chat = told_chat
    said = await chat.page.evaluate_handle(
        """() => {
            const said = []
            const announcer = document.getElementById("announcer")
            new MutationObserver(() => said.push(announcer.textContent))
                .observe(announcer, { childList: true, characterData: true, subtree: true })
            return said
        }"""
    )
    await chat.send("slowly\n" + "word " * 60)
    await expect(chat.answers.first).to_have_attribute("aria-busy", "true")
    await chat.finished(0)
    await expect(chat.page.locator("#announcer")).to_contain_text("word word")
    heard = await said.json_value()
    assert len([words for words in heard if "word" in words]) == 1


async def test_a_phone_shows_everything_without_sideways_scrolling(
    told: RunningService, open_page: OpenPage
) -> None:
    """At 360 pixels nothing sticks out: not the panels, not two answers, not a long word."""
    chat = await (await open_page(told, **NARROW_PHONE)).open()
    await expect_no_overflow(chat)
    await chat.choose("first")
    await chat.ask(f"say\n{'Unbreakable' * 30}")
    await expect_no_overflow(chat)
    await chat.button("Why first?").click()
    await chat.button("Ask another expert").click()
    await expect_no_overflow(chat)
    await chat.page.get_by_role("button", name=re.compile("^Ask second")).click()
    second = await chat.finished(1)
    await second.get_by_role("button", name="Poor answer").click()
    await expect(second.get_by_label("Failed")).to_be_visible()
    await expect_no_overflow(chat)

    await expect(chat.question).to_be_in_viewport()
    await expect(chat.page.locator(".pool")).to_be_visible()
    await expect(chat.page.get_by_label("Answered by")).to_be_visible()


async def expect_no_overflow(chat: ChatPage) -> None:
    """Nothing is wider than the window."""
    assert await chat.page.evaluate("document.documentElement.scrollWidth") <= 360
