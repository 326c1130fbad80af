"""The chat page in a real browser on the real pool: ask, see who answers and why, stop, rate."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.async_api import Request, expect

from tests.browser.chat_page import (
    SQL_QUESTION,
    ChatPage,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(600),  # the first test to need a service waits for its engine
]


def is_chat(request: Request) -> bool:
    return request.url.endswith("/v1/chat/completions")


async def test_enter_sends_the_question_and_the_experts_answer_appears(chat: ChatPage) -> None:
    """A typed question is sent by Enter, and its answer carries the name of its expert."""
    async with chat.page.expect_response("**/v1/chat/completions") as answered:
        answer = await chat.ask(SQL_QUESTION)
    expert = await (await answered.value).header_value("x-collegium-expert")

    assert expert == "sql"
    await expect(answer).to_have_accessible_name("Answer from sql")
    await expect(answer.locator(".prose")).to_have_text(re.compile("SELECT"))
    await expect(chat.question).to_have_value("")
    await expect(chat.question).to_be_focused()


async def test_shift_enter_starts_a_new_line(chat: ChatPage) -> None:
    """Shift+Enter does not send."""
    await chat.question.fill("one")
    await chat.question.press("Shift+Enter")
    await chat.question.press_sequentially("two")

    await expect(chat.question).to_have_value("one\ntwo")
    await expect(chat.answers).to_have_count(0)


async def test_nothing_is_sent_without_words(chat: ChatPage) -> None:
    """Enter in an empty box asks nobody."""
    await chat.send("   \n ")

    await expect(chat.answers).to_have_count(0)


async def test_the_text_grows_while_the_expert_writes_and_escape_stops_it(chat: ChatPage) -> None:
    """The answer streams; Escape ends it, keeps its text and lets the person go on."""
    answer = await chat.begin_story()
    prose = answer.locator(".prose")
    early = await prose.inner_text()
    handle = await prose.element_handle()
    await chat.page.wait_for_function(
        "([node, length]) => node.innerText.length > length + 20", arg=[handle, len(early)]
    )
    await expect(answer).to_have_attribute("data-state", "streaming")

    await chat.page.keyboard.press("Escape")
    await expect(answer).to_have_attribute("data-state", "stopped")
    await expect(answer.get_by_text("Stopped.")).to_be_visible()
    assert (await prose.inner_text()).startswith(early.rstrip())
    await expect(chat.button("Send")).to_be_visible()


async def test_the_stop_button_ends_the_generation(chat: ChatPage) -> None:
    """Stop ends the answer, and the service records that the client left."""
    async with chat.page.expect_response("**/v1/chat/completions") as answered:
        answer = await chat.begin_story()
    decision = await (await answered.value).header_value("x-collegium-decision-id")
    await chat.button("Stop").click()

    await expect(answer).to_have_attribute("data-state", "stopped")
    await expect(chat.button("Stop")).to_be_hidden()
    await expect(chat.question).to_be_focused()
    assert decision is not None
    await expect_outcome(chat, decision, "cancelled")


async def test_why_shows_the_reason_the_candidates_and_forecast_beside_fact(chat: ChatPage) -> None:
    """The panel says in words why this expert, and compares what was forecast with what it took."""
    answer = await chat.ask(SQL_QUESTION)
    await chat.button("Why sql?").click()
    why = answer.get_by_role("region", name="Why sql")

    await expect(why.locator(".why__reason")).not_to_be_empty()
    await expect(why.get_by_text("Chosen by forecast quality")).to_be_visible()
    evidence = why.locator(".why__facts > div").filter(has_text="Evidence").locator("dd")
    await expect(evidence).to_have_text(re.compile(r"\d+ %"))
    await expect(why.get_by_role("heading", name="Skills it asks for")).to_be_visible()
    candidates = why.get_by_role("table", name="Candidates, as forecast").get_by_role("row")
    await expect(candidates.nth(1)).to_contain_text("sql")
    await expect(candidates.nth(1)).to_contain_text("%")
    assert await candidates.count() > 2
    measures = why.get_by_role("table", name="Forecast and fact")
    for name in ("Latency", "Energy", "Tokens"):
        await expect(measures.get_by_role("row", name=name).get_by_role("cell")).to_have_text(
            [re.compile(r"\d"), re.compile(r"\d")]
        )

    await chat.button("Why sql?").click()
    await expect(why).to_be_hidden()


async def test_a_chosen_expert_answers_whatever_the_router_thinks(chat: ChatPage) -> None:
    """Choosing an expert by name sends the question to it."""
    await chat.choose("lists")
    answer = await chat.ask("Sort these words: pear, fig. Reply with just the list.")

    await expect(answer).to_have_accessible_name("Answer from lists")
    await chat.button("Why lists?").click()
    await expect(answer.get_by_text("Chosen by you")).to_be_visible()


async def test_the_choice_offers_auto_and_every_expert(chat: ChatPage) -> None:
    """The list of who answers is the service's list of models."""
    response = await chat.page.request.get(f"{chat.url}/v1/models")
    models = {str(m["id"]) for m in (await response.json())["data"]} - {"collegium/auto"}
    options = await chat.page.get_by_label("Answered by").locator("option").all()

    assert {await option.get_attribute("value") for option in options} == models


async def test_another_expert_answers_the_same_question_beside_the_first(chat: ChatPage) -> None:
    """Ask another expert adds its answer to the same question; both stay to be compared."""
    await chat.ask(SQL_QUESTION)
    await chat.button("Ask another expert").click()
    await chat.page.get_by_role("button", name=re.compile("^Ask labels")).click()
    second = await chat.finished(1)

    await expect(second).to_have_accessible_name("Answer from labels")
    await expect(chat.answers.first).to_have_accessible_name("Answer from sql")
    await expect(chat.page.get_by_role("heading", level=2)).to_have_text([SQL_QUESTION])


async def test_turning_to_another_answer_is_told_to_the_service(chat: ChatPage) -> None:
    """Asking another expert, and using its answer in the place of the first one."""
    await chat.ask(SQL_QUESTION)
    async with chat.page.expect_response("**/v1/feedback") as asked_another:
        await chat.button("Ask another expert").click()
        await chat.page.get_by_role("button", name=re.compile("^Ask labels")).click()
    second = await chat.finished(1)
    async with chat.page.expect_response("**/v1/feedback") as preferred:
        await second.get_by_role("button", name="Use this one").click()

    told = [await (await each.value).json() for each in (asked_another, preferred)]
    assert [(each["source"], each["preferred"]) for each in told] == [
        ("ask_another", None),
        ("preferred", "labels"),
    ]
    assert told[0]["decision_id"] == told[1]["decision_id"]


async def test_only_the_answer_in_use_goes_into_the_history(chat: ChatPage) -> None:
    """A later question carries one answer for each earlier one: the one the person uses."""
    await chat.ask(SQL_QUESTION)
    await chat.button("Ask another expert").click()
    await chat.page.get_by_role("button", name=re.compile("^Ask labels")).click()
    second = await chat.finished(1)
    await second.get_by_role("button", name="Use this one").click()
    await expect(second.get_by_role("button", name="In the conversation")).to_have_attribute(
        "aria-pressed", "true"
    )
    text = (await second.locator(".prose").inner_text()).strip()
    await chat.choose("labels")  # the generalist may answer for minutes
    sent = await sent_by(chat, "And the newest one?")

    assert [message["role"] for message in sent["messages"]] == ["user", "assistant", "user"]
    assert sent["messages"][0]["content"] == SQL_QUESTION
    assert sent["messages"][1]["content"].split() == text.split()
    assert sent["messages"][2]["content"] == "And the newest one?"


async def test_a_conversation_is_one_session_and_a_new_one_another(chat: ChatPage) -> None:
    """Questions of one conversation share a session id; a new conversation starts empty."""
    sessions: list[str] = []

    def note_session(request: Request) -> None:
        if is_chat(request):
            sessions.append(request.headers["x-session-id"])

    chat.page.on("request", note_session)
    await chat.choose("lists")
    await chat.ask("Sort these words: pear, fig. Reply with just the list.")
    await chat.ask("Sort these words: sun, moon. Reply with just the list.")
    await chat.button("New conversation").click()
    await expect(chat.answers).to_have_count(0)
    sent = await sent_by(chat, "What is 6 plus 2? Reply with just the digits.")

    assert len(sent["messages"]) == 1
    assert sessions[0] == sessions[1] != sessions[2]


async def test_an_example_is_asked_by_one_click(chat: ChatPage) -> None:
    """The empty page offers one question for each expert."""
    examples = chat.page.get_by_role("list", name="Questions to try").get_by_role("button")
    response = await chat.page.request.get(f"{chat.url}/v1/models")
    models = (await response.json())["data"]

    await expect(examples).to_have_count(sum(not m["collegium"]["virtual"] for m in models))
    await examples.filter(has_text="sql").click()
    await expect(await chat.finished(0)).to_have_accessible_name("Answer from sql")
    await expect(examples.first).to_be_hidden()


async def test_a_thumb_up_is_recorded_as_a_good_fit(chat: ChatPage) -> None:
    """A rating reaches the registry, is shown as pressed and announced."""
    answer = await chat.ask(SQL_QUESTION)
    rated = await rating_sent_by(chat, "Good answer")

    assert await recorded(chat, rated) == [("good_fit", None)]
    up = answer.get_by_role("button", name="Good answer")
    await expect(up).to_have_attribute("aria-pressed", "true")
    await expect(chat.page.locator("#announcer")).to_have_text("Rated: a good fit.")


async def test_a_thumb_down_has_room_for_failed_and_a_word_about_it(chat: ChatPage) -> None:
    """Down is recorded at once as underpowered; the person may add that it failed, and why."""
    answer = await chat.ask(SQL_QUESTION)
    first = await rating_sent_by(chat, "Poor answer")
    await answer.get_by_label("Failed").check()
    await answer.get_by_label("What was wrong? (optional)").fill("wrong table")
    second = await rating_sent_by(chat, "Add")

    assert first == second
    assert await recorded(chat, first) == [("underpowered", None), ("failed", "wrong table")]
    await expect(answer.get_by_text("Rated: failed.")).to_be_visible()
    down = answer.get_by_role("button", name="Poor answer")
    await expect(down).to_have_attribute("aria-pressed", "true")


async def test_an_answer_can_be_copied(chat: ChatPage) -> None:
    """Copy puts the answer's text on the clipboard."""
    await chat.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    answer = await chat.ask(SQL_QUESTION)
    await chat.button("Copy").click()
    await expect(chat.button("Copied")).to_be_visible()

    copied = await chat.page.evaluate("navigator.clipboard.readText()")
    assert str(copied).split() == (await answer.locator(".prose pre").inner_text()).split()


async def sent_by(chat: ChatPage, question: str) -> Any:
    """The body of the request that a question makes; its answer is awaited."""
    async with chat.page.expect_request(is_chat) as sending:
        await chat.ask(question)
    return (await sending.value).post_data_json


async def rating_sent_by(chat: ChatPage, button: str) -> str:
    """Press a button that rates; return the id of the decision it rated."""
    async with chat.page.expect_response("**/v1/feedback") as answered:
        await chat.button(button).click()
    response = await answered.value
    assert response.status == 200
    return str((await response.json())["decision_id"])


async def recorded(chat: ChatPage, decision: str) -> list[tuple[str, str | None]]:
    """The ratings of a decision, as the API tells them."""
    logged = await logged_decision(chat, decision)
    return [(rating["verdict"], rating["comment"]) for rating in logged["feedback"]]


async def expect_outcome(chat: ChatPage, decision: str, status: str) -> None:
    """Wait for a decision's outcome, which is recorded in the background."""
    await chat.page.wait_for_function(
        """async ([path, status]) => {
            const decision = await (await fetch(path)).json()
            return decision.outcome?.status === status
        }""",
        arg=[f"/v1/decisions/{decision}", status],
        polling=250,
    )


async def logged_decision(chat: ChatPage, decision: str) -> Any:
    """What the service remembers of a decision."""
    response = await chat.page.request.get(f"{chat.url}/v1/decisions/{decision}")
    return await response.json()
