"""Images and text files that go along with a question."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from PIL import Image
from playwright.async_api import Route, expect

from tests.browser.chat_page import ChatPage
from tests.browser.conftest import OpenPage
from tests.running_service import RunningService

pytestmark = [
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(600),
]
DROP = """async ([target, name, type, data]) => {
    const bytes = Uint8Array.from(atob(data), letter => letter.charCodeAt(0))
    const transfer = new DataTransfer()
    transfer.items.add(new File([bytes], name, { type }))
    const fields = { bubbles: true, cancelable: true }
    const event = target === "drop"
        ? new DragEvent("drop", { ...fields, dataTransfer: transfer })
        : new ClipboardEvent("paste", { ...fields, clipboardData: transfer })
    document.getElementById("question").dispatchEvent(event)
}"""


def picture(width: int = 40, height: int = 30, kind: str = "PNG", *, noise: bool = False) -> bytes:
    """An image of one colour, or one that can hardly be made smaller."""
    image = Image.effect_noise((width, height), 90) if noise else Image.new("RGB", (width, height))
    image = image.convert("RGB")
    image.putpixel((0, 0), (255, 0, 0))
    file = io.BytesIO()
    exif = image.getexif()
    exif[0x010E] = "where it was taken"
    image.save(file, kind, **({"exif": exif} if kind == "JPEG" else {}))
    return file.getvalue()


async def sent(chat: ChatPage, question: str) -> Any:
    """The content of the message that a question makes."""
    async with chat.page.expect_request("**/v1/chat/completions") as sending:
        await chat.ask(question)
    body: Any = (await sending.value).post_data_json
    return body["messages"][-1]["content"]


def opened(part: Any) -> tuple[Image.Image, bytes]:
    """The image of a part, and its bytes."""
    head, _, data = part["image_url"]["url"].partition(",")
    assert head in ("data:image/png;base64", "data:image/jpeg;base64", "data:image/gif;base64")
    raw = base64.b64decode(data)
    return Image.open(io.BytesIO(raw)), raw


async def test_an_image_and_a_text_go_along_with_a_question(told_chat: ChatPage) -> None:
    """As parts of the message, with the description; both are shown above the answer."""
    chat = told_chat
    await chat.attach(("cat.png", "image/png", picture()), ("notes.txt", "text/plain", b"hello"))
    await chat.page.get_by_label("Description of cat.png").fill("a black cat")
    content = await sent(chat, "What is it?")

    assert [part.get("text") for part in content] == [
        "What is it?", 'Image "cat.png": a black cat', None, 'File "notes.txt":\n\nhello',
    ]  # fmt: skip
    assert opened(content[2])[0].size == (40, 30)
    shown = chat.page.get_by_role("img", name="a black cat")
    await expect(shown).to_be_visible()
    assert await shown.evaluate("image => image.naturalWidth") == 40
    await chat.page.get_by_text("notes.txt · 5 characters").click()
    await expect(chat.page.get_by_text("hello", exact=True)).to_be_visible()
    assert (await sent(chat, "And now?")) == "And now?"


async def test_a_large_photo_is_made_smaller_and_forgets_where_it_was_taken(
    told_chat: ChatPage,
) -> None:
    """Its sides are at most 2048, its bytes a mebibyte, and the camera's notes are gone."""
    chat = told_chat
    await chat.attach(("photo.jpg", "image/jpeg", picture(3000, 1500, "JPEG", noise=True)))
    await expect(chat.page.get_by_label("Description of photo.jpg")).to_be_visible()
    content = await sent(chat, "What is it?")
    image, raw = opened(content[1])
    assert max(image.size) <= 2048
    assert image.size[0] == pytest.approx(2 * image.size[1], abs=2)
    assert len(raw) <= 2**20
    assert dict(image.getexif()) == {}


@pytest.mark.parametrize("way", ["drop", "paste"])
async def test_files_are_dropped_and_pasted(told_chat: ChatPage, way: str) -> None:
    """On the page, and into the question box."""
    chat = told_chat
    data = base64.b64encode(picture(kind="GIF")).decode()
    await chat.page.evaluate(DROP, [way, "cat.gif", "image/gif", data])
    await expect(chat.page.get_by_label("Description of cat.gif")).to_be_visible()
    await chat.button("Remove cat.gif").click()
    await expect(chat.page.locator("#tray")).to_be_hidden()
    await expect(chat.question).to_be_focused()


async def test_what_can_not_be_sent_is_told(told_chat: ChatPage) -> None:
    """Neither text nor image, a broken image, a text that is too long."""
    chat = told_chat
    tray = chat.page.locator("#tray")
    for name, kind, data, words in [
        ("a.bin", "application/octet-stream", b"\x00\xff", "neither text nor"),
        ("a.png", "image/png", b"no image", "no image that this browser can read"),
        ("a.txt", "text/plain", b"a" * 200_001, "longer than 200,000 characters"),
        ("a.svg", "image/svg+xml", b"\xff<svg>", "neither text nor"),
    ]:
        await chat.attach((name, kind, data))
        await expect(tray).to_contain_text(words)
    await expect(tray.get_by_role("listitem")).to_have_count(0)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (None, "It is not known whether an expert here takes images."),
        (False, "No expert that may answer takes images."),
        (True, ""),
    ],
)
async def test_images_are_offered_where_an_expert_takes_them(
    told: RunningService, open_page: OpenPage, images: bool | None, words: str
) -> None:
    """By what is known of the experts; where nothing is known, the page says so."""
    chat = await open_page(told)

    async def capable(route: Route) -> None:
        response = await route.fetch()
        listed = await response.json()
        for model in listed["data"]:
            if not model["collegium"]["virtual"]:
                model["collegium"]["capabilities"] = {"images": images}
        await route.fulfill(json=listed)

    await chat.page.route("**/v1/models", capable)
    await chat.open()
    await chat.attach(("cat.png", "image/png", picture()))
    await expect(chat.page.locator(".tray__note")).to_have_text(words)
    count = 0 if images is False else 1
    await expect(chat.page.locator("#tray").get_by_role("listitem")).to_have_count(count)
