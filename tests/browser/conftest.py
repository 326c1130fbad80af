"""A real headless Chromium for the tests of the chat page."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright, expect

from tests.browser.chat_page import READY_MS, ChatPage, CrashableService, Service
from tests.browser.told_service import told_service
from tests.running_service import RunningService

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

PATIENCE_MS = 20_000  # two cores run the engine, the service and the browser

OpenPage = Callable[..., Awaitable[ChatPage]]


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One browser for all tests; each has a profile of its own."""
    program = shutil.which("chromium") or pytest.fail("Chromium is missing: apt install chromium")
    expect.set_options(timeout=PATIENCE_MS)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(browser: Browser) -> AsyncIterator[OpenPage]:
    """Open the page of a service in a fresh profile; no page may end with an uncaught error."""
    pages: list[ChatPage] = []
    async with AsyncExitStack() as profiles:

        async def open_page(service: Service, **options: Any) -> ChatPage:
            profile = await browser.new_context(**options)
            profiles.push_async_callback(profile.close)
            profile.set_default_timeout(READY_MS)
            pages.append(ChatPage(await profile.new_page(), service.url))
            return pages[-1]

        yield open_page
        assert [page.crashes for page in pages if page.crashes] == []


@pytest_asyncio.fixture(loop_scope="session")
async def chat(service: Service, open_page: OpenPage) -> ChatPage:
    """The page, open on the shared service."""
    return await (await open_page(service)).open()


@pytest_asyncio.fixture(loop_scope="session")
async def crashable_chat(crashable_service: CrashableService, open_page: OpenPage) -> ChatPage:
    """The page, open on a service whose engine may be killed."""
    return await (await open_page(crashable_service)).open()


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service whose experts say what they are told to; it needs no engine."""
    with told_service(tmp_path_factory.mktemp("told")) as service:
        yield service


@pytest_asyncio.fixture(loop_scope="session")
async def told_chat(told: RunningService, open_page: OpenPage) -> ChatPage:
    """The page, open on that service."""
    return await (await open_page(told)).open()
