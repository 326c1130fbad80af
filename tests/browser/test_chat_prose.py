"""Answers as the chat page shows them: a little Markdown, and never anybody's HTML."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.browser.chat_page import READY_MS, Service

pytestmark = [
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(600),
]

SHOW = """async texts => {
    const { Prose } = await import("/static/js/markdown/prose.js")
    const prose = new Prose()
    for (const text of texts) prose.show(text)
    return prose.element.innerHTML
}"""


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def page(browser: Browser, service: Service) -> AsyncIterator[Page]:
    """One page for all: they use its modules only."""
    page = await browser.new_page()
    await page.goto(service.url, timeout=READY_MS)
    yield page
    await page.close()


async def shown(page: Page, *texts: str) -> str:
    """The HTML that the page makes of an answer as it grows."""
    html: str = await page.evaluate(SHOW, list(texts))
    return html


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("one\ntwo\n\nthree", "<p>one\ntwo</p><p>three</p>"),
        ("a **bold** word", "<p>a <strong>bold</strong> word</p>"),
        ("run `a ** b`", "<p>run <code>a ** b</code></p>"),
        ("**`x` is bold**", "<p><strong><code>x</code> is bold</strong></p>"),
        ("2 * 3 * 4 ** 2", "<p>2 * 3 * 4 ** 2</p>"),
        ("an ** open mark", "<p>an ** open mark</p>"),
        ("- a\n- b", "<ul><li>a</li><li>b</li></ul>"),
        ("Two:\n1. a\n2. b", '<p>Two:</p><ol start="1"><li>a</li><li>b</li></ol>'),
        ("3) c", '<ol start="3"><li>c</li></ol>'),
        ("## Title", "<p><strong>Title</strong></p>"),
        ("-5 degrees", "<p>-5 degrees</p>"),
        ("2028-07-06", "<p>2028-07-06</p>"),
        ("", ""),
    ],
)
async def test_a_little_markdown_is_shown_as_meant(page: Page, text: str, html: str) -> None:
    """Paragraphs, bold, code, lists and headings; all else stays as it is written."""
    assert await shown(page, text) == html


@pytest.mark.parametrize(
    ("text", "label", "code"),
    [
        ("```sql\nSELECT 1\n\n- x\n```", "Code in sql", "SELECT 1\n\n- x"),
        ("```\nstill writing **", "Code", "still writing **"),
        ("SELECT COUNT(*) FROM films", "Code in SQL", "SELECT COUNT(*) FROM films"),
        ('{"name": "Anna"}', "Code in JSON", '{"name": "Anna"}'),
    ],
)
async def test_code_is_shown_as_it_is_written(page: Page, text: str, label: str, code: str) -> None:
    """Fenced code, also before its fence is closed, and bare SQL and JSON."""
    expected = f'<pre tabindex="0" aria-label="{label}"><code>{code}</code></pre>'
    assert await shown(page, text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "<img src=x onerror=alert(1)>",
        "**<script>alert(1)</script>**",
        "- <a href='javascript:alert(1)'>here</a>",
        "```html\n<iframe src='//example.org'></iframe>\n```",
        "[link](javascript:alert(1)) ![image](//example.org/x.png)",
    ],
)
async def test_html_and_links_in_an_answer_stay_text(page: Page, text: str) -> None:
    """An expert can't put elements of its own on the page."""
    tags = await page.evaluate(
        """async text => {
            const { Prose } = await import("/static/js/markdown/prose.js")
            const prose = new Prose()
            prose.show(text)
            return [...prose.element.querySelectorAll("*")].map(node => node.localName)
        }""",
        text,
    )
    assert set(tags) <= {"p", "ul", "li", "pre", "code", "strong"}


async def test_an_answer_that_grows_ends_as_if_it_came_at_once(page: Page) -> None:
    """Only the changed blocks are drawn anew while an answer streams; nothing is left behind."""
    text = "Here:\n\n- one\n- two **bold\n\n```sql\nSELECT 1\n```\nDone **bold** `x`."
    growing = [text[:length] for length in range(len(text) + 1)]

    assert await shown(page, *growing) == await shown(page, text)
