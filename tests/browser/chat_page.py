"""The chat page as a person meets it: what tests do on it, and what they see."""

from __future__ import annotations

import re
from typing import Protocol

from playwright.async_api import FilePayload, Locator, Page, expect

READY_MS = 240_000  # a killed engine needs up to a minute to come back, a busy machine longer
ANSWER_MS = 270_000  # a processor without AVX-512, beside another worker

SQL_QUESTION = (
    "Table: films(id, title, genre, year, minutes)\n"
    "List the title of the 3 films with the lowest year, lowest first. "
    "Write one SQLite query, nothing else."
)
STORY = "Write a very long story about a lighthouse and the sea."


class Service(Protocol):
    """A running Collegium."""

    url: str


class CrashableService(Service, Protocol):
    """A running Collegium whose engine a test may kill."""

    def kill_engine(self) -> None:
        """Kill the engine's process as a crash would."""


class ChatPage:
    """A person at the page; waits for what a person would wait for."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.requests: list[str] = []
        self.console_errors: list[str] = []
        self.crashes: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("pageerror", lambda error: self.crashes.append(str(error)))

    async def open(self) -> ChatPage:
        """Open the page and wait until the pool is ready."""
        await self.page.goto(self.url)
        await self.expect_ready()
        return self

    async def expect_ready(self) -> None:
        """Wait until the masthead says that the experts are ready."""
        ready = re.compile(r"\d+ experts? ready")
        await expect(self.page.locator(".pool")).to_have_text(ready, timeout=READY_MS)

    @property
    def question(self) -> Locator:
        """The question box."""
        return self.page.get_by_label("Your question")

    @property
    def answers(self) -> Locator:
        """All answers on the page."""
        return self.page.get_by_role("article")

    def button(self, name: str) -> Locator:
        """A button by the name a screen reader says."""
        return self.page.get_by_role("button", name=name, exact=True)

    async def choose(self, model: str) -> None:
        """Choose who answers."""
        await self.page.get_by_label("Answered by").select_option(model)

    async def send(self, question: str) -> None:
        """Type a question and send it by keyboard."""
        await self.question.fill(question)
        await self.question.press("Enter")

    async def ask(self, question: str) -> Locator:
        """Send a question and return its whole answer."""
        count = await self.answers.count()
        await self.send(question)
        return await self.finished(count)

    async def finished(self, index: int) -> Locator:
        """Wait for the answer at a place to be done, and return it."""
        answer = self.answers.nth(index)
        await expect(answer).to_have_attribute("data-state", "done", timeout=ANSWER_MS)
        return answer

    async def begin_story(self) -> Locator:
        """Let the generalist begin a long answer, and return it while it streams."""
        await self.choose(await self.generalist())
        await self.send(STORY)
        answer = self.answers.last
        await self.expect_streaming(answer)
        return answer

    async def expect_streaming(self, answer: Locator) -> None:
        """Wait for an answer's first words, before its last."""
        await expect(answer.locator(".prose")).to_have_text(re.compile(r"\w"), timeout=READY_MS)
        await expect(answer).to_have_attribute("data-state", "streaming")

    async def attach(self, *files: tuple[str, str, bytes]) -> None:
        """Choose files by name, type and bytes."""
        chosen: list[FilePayload] = [
            {"name": name, "mimeType": kind, "buffer": data} for name, kind, data in files
        ]
        await self.page.locator("#files").set_input_files(chosen)

    async def generalist(self) -> str:
        """The name of the expert that takes what nobody else knows."""
        response = await self.page.request.get(f"{self.url}/v1/models")
        models = (await response.json())["data"]
        return next(str(m["id"]) for m in models if m["collegium"].get("generalist"))

    def _note(self, kind: str, text: str) -> None:
        if kind == "error":
            self.console_errors.append(text)
