"""Several conversations, kept in the browser: the list, search, branches, files in and out."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Locator, Request, Route, expect

from tests.browser.chat_page import ChatPage
from tests.browser.conftest import OpenPage
from tests.running_service import RunningService

pytestmark = [
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(600),
]


def library(chat: ChatPage) -> Locator:
    """The list of conversations."""
    return chat.page.locator("#library")


def titles(chat: ChatPage) -> Locator:
    """What the conversations are called, from the top."""
    return library(chat).locator(".library__name")


async def more(chat: ChatPage, title: str, action: str) -> None:
    """Do something with a conversation of the list."""
    await chat.page.get_by_role("button", name=f"More for {title}", exact=True).click()
    await library(chat).get_by_role("button", name=action, exact=True).click()


async def two_conversations(chat: ChatPage) -> None:
    """One about pears and one about plums; the list is open."""
    await chat.ask("say\nPears are green.")
    await chat.button("New conversation").click()
    await expect(chat.answers).to_have_count(0)
    await chat.ask("What of plums?")
    await chat.button("Conversations").click()
    await expect(titles(chat)).to_have_text(["What of plums?", "say"])


async def test_a_conversation_is_there_after_a_reload(told_chat: ChatPage) -> None:
    """With its answers, why they were given, and its session."""
    chat = told_chat
    sessions: list[str] = []

    def note(request: Request) -> None:
        if request.url.endswith("/v1/chat/completions"):
            sessions.append(request.headers["x-session-id"])

    chat.page.on("request", note)
    await chat.ask("say\nPears are **green**.")
    await chat.page.wait_for_function("() => location.hash.startsWith('#c=')")
    await chat.page.reload()
    await chat.expect_ready()
    await expect(chat.answers.first.locator(".prose strong")).to_have_text("green")
    await chat.button("Why first?").click()
    await expect(chat.answers.first.locator(".why__reason")).not_to_be_empty()
    await chat.ask("And plums?")
    assert len(sessions) == 2
    assert sessions[0] == sessions[1]
    assert sessions[0] in chat.page.url


async def test_after_a_reload_experts_have_their_colours(told_chat: ChatPage) -> None:
    """Though the conversation may be there before the experts are known."""
    chat = told_chat
    await chat.choose("second")
    await chat.ask("One?")
    plate = chat.answers.first.locator(".plate").first
    colour = await plate.get_attribute("style")
    await chat.page.wait_for_function("() => location.hash.startsWith('#c=')")
    await chat.page.route("**/v1/models", held_for_a_second)
    await chat.page.reload()
    await expect(plate).to_be_visible()
    await chat.expect_ready()
    await expect(plate).to_have_attribute("style", colour or "")


async def held_for_a_second(route: Route) -> None:
    """Let a request through later."""
    await asyncio.sleep(1)
    await route.continue_()


async def test_conversations_are_opened_from_the_list_and_by_the_back_button(
    told_chat: ChatPage,
) -> None:
    """The open one is marked; its questions are on the page."""
    chat = told_chat
    await two_conversations(chat)
    await library(chat).get_by_role("button", name="say").first.click()
    await expect(chat.answers.first.locator(".prose")).to_have_text("Pears are green.")
    current = library(chat).locator("[aria-current]")
    await expect(current).to_contain_text("say")
    await chat.page.go_back()
    await expect(chat.answers.first.locator(".prose")).to_contain_text("answer of")


async def test_all_conversations_are_searched(told_chat: ChatPage) -> None:
    """Also for words of their answers."""
    chat = told_chat
    await two_conversations(chat)
    search = chat.page.get_by_label("Search all conversations")
    await search.fill("GREEN pears")
    await expect(titles(chat)).to_have_text(["say"])
    await search.fill("nothing of the kind")
    await expect(library(chat).get_by_text("No conversation has these words.")).to_be_visible()
    await search.fill("")
    await expect(titles(chat)).to_have_count(2)


async def test_a_conversation_is_renamed_and_deleted(told_chat: ChatPage) -> None:
    """For good: a reload brings neither the old name nor the conversation back."""
    chat = told_chat
    await two_conversations(chat)
    await more(chat, "say", "Rename")
    await chat.page.get_by_label("New name").fill("Pears")
    await chat.page.keyboard.press("Enter")
    await expect(titles(chat)).to_have_text(["What of plums?", "Pears"])
    await more(chat, "What of plums?", "Delete")
    await chat.button("Delete for good").click()
    await expect(titles(chat)).to_have_text(["Pears"])
    await expect(chat.answers).to_have_count(0)

    await chat.page.reload()
    await chat.expect_ready()
    await expect(titles(chat)).to_have_text(["Pears"])


async def test_an_edited_question_branches(told_chat: ChatPage) -> None:
    """The new words are asked in a copy of what came before; the old conversation stays."""
    chat = told_chat
    await chat.ask("One?")
    await chat.ask("Two?")
    await chat.button("Edit").last.click()
    await chat.page.get_by_label("The question in other words").fill("Three?")
    async with chat.page.expect_request("**/v1/chat/completions") as sending:
        await chat.button("Ask this").click()
    sent: Any = (await sending.value).post_data_json
    assert [message["content"] for message in sent["messages"]][::2] == ["One?", "Three?"]
    await chat.finished(1)
    questions = chat.page.locator(".exchange__question")
    await expect(questions).to_have_text(["One?", "Three?"])

    await chat.button("Conversations").click()
    await expect(titles(chat)).to_have_text(["One? (edited)", "One?"])
    await library(chat).get_by_role("button", name="One?").last.click()
    await library(chat).locator(".library__open").last.click()
    await expect(questions).to_have_text(["One?", "Two?"])


async def test_asking_again_adds_an_answer(told_chat: ChatPage) -> None:
    """Beside the first, which stays in the conversation until another one is preferred."""
    chat = told_chat
    await chat.ask("One?")
    await chat.button("Ask again").click()
    second = await chat.finished(1)
    await expect(
        chat.answers.first.get_by_role("button", name="In the conversation")
    ).to_be_visible()
    async with chat.page.expect_response("**/v1/feedback") as told:
        await second.get_by_role("button", name="Use this one").click()
    assert (await (await told.value).json())["source"] == "preferred"


async def test_a_conversation_leaves_and_comes_as_a_file(
    told_chat: ChatPage, tmp_path: Path
) -> None:
    """Markdown to read, JSON to import again; a file that is no conversation is refused."""
    chat = told_chat
    await chat.ask("say\nPears are **green**.")
    await chat.button("Conversations").click()
    await chat.page.get_by_role("button", name="More for say").click()
    async with chat.page.expect_download() as downloading:
        await chat.button("Export as Markdown").click()
    text = Path(await (await downloading.value).path()).read_text()
    assert "### first\n\nPears are **green**." in text
    async with chat.page.expect_download() as downloading:
        await chat.button("Export as JSON").click()
    download = await downloading.value
    assert download.suggested_filename == "say.json"
    exported = json.loads(Path(await download.path()).read_text())

    await chat.button("Delete").click()
    await chat.button("Delete for good").click()
    await expect(titles(chat)).to_have_count(0)
    chooser = chat.page.locator("[data-part=file]")
    (tmp_path / "pears.json").write_text(
        json.dumps(exported | {"title": "Pears", "named": "Pears"})
    )
    await chooser.set_input_files(tmp_path / "pears.json")
    await expect(titles(chat)).to_have_text(["Pears"])
    await expect(chat.answers.first.locator(".prose strong")).to_have_text("green")

    exported["exchanges"][0]["question"] = 7
    (tmp_path / "bad.json").write_text(json.dumps(exported))
    await chooser.set_input_files(tmp_path / "bad.json")
    problem = library(chat).get_by_role("alert")
    await expect(problem).to_contain_text(
        "bad.json was not imported: The file.exchanges[0].question"
    )


async def test_a_full_browser_says_so(told: RunningService, open_page: OpenPage) -> None:
    """The conversation goes on; the list says that it is not kept."""
    chat = await open_page(told)
    await chat.page.add_init_script(
        """IDBObjectStore.prototype.put = function() {
            throw new DOMException("full", "QuotaExceededError")
        }"""
    )
    await chat.open()
    await chat.ask("One?")
    await chat.button("Conversations").click()
    await expect(library(chat).get_by_role("alert")).to_contain_text("keeps no more conversations")
    await chat.ask("Two?")


async def test_a_browser_that_keeps_nothing_says_so(
    told: RunningService, open_page: OpenPage
) -> None:
    """Conversations are there until the page is closed."""
    chat = await open_page(told)
    await chat.page.add_init_script(
        """IDBFactory.prototype.open = () => { throw new DOMException("no", "SecurityError") }"""
    )
    await chat.open()
    await two_conversations(chat)
    await expect(library(chat).get_by_text("This browser keeps nothing")).to_be_visible()


async def test_nothing_of_a_conversation_leaves_the_browser_but_questions(
    told_chat: ChatPage,
) -> None:
    """Names, searches, files and deletions make no request."""
    chat = told_chat
    await two_conversations(chat)
    await chat.page.wait_for_load_state("networkidle")
    before = [url for url in chat.requests if "/readyz" not in url and "/alarms" not in url]
    await more(chat, "say", "Rename")
    await chat.page.get_by_label("New name").fill("Pears")
    await chat.page.keyboard.press("Enter")
    await chat.page.get_by_label("Search all conversations").fill("plums")
    await expect(titles(chat)).to_have_count(1)
    await more(chat, "What of plums?", "Delete")
    await chat.button("Delete for good").click()
    await expect(titles(chat)).to_have_count(0)
    after = [url for url in chat.requests if "/readyz" not in url and "/alarms" not in url]
    assert [url for url in after[len(before) :] if "/static/" not in url] == []
