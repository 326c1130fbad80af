"""Pictures have the tokens that vendors publish, by sizes that are read from their headers."""

from __future__ import annotations

import struct
from base64 import b64encode
from typing import Any

import pytest

from collegium.experts.clients.counting import IMAGE_TOKENS, prompt_tokens
from collegium.experts.clients.pictures import LONGEST_HEAD, picture_tokens, size_of


def png(wide: int, high: int) -> bytes:
    """The beginning of a PNG."""
    header = struct.pack(">IIBBBBB", wide, high, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header + bytes(40)


def jpeg(wide: int, high: int, *, note: int = 10) -> bytes:
    """The beginning of a JPEG, with so many bytes of a camera's notes in two segments."""
    notes = b"".join(
        b"\xff\xe1" + struct.pack(">H", 2 + n) + bytes(n) for n in (note // 2, note - note // 2)
    )
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 17, 8, high, wide, 3)
    return b"\xff\xd8" + notes + b"\xff\xc4" + struct.pack(">H", 4) + b"ab" + frame + bytes(40)


def gif(wide: int, high: int) -> bytes:
    """The beginning of a GIF."""
    return b"GIF89a" + struct.pack("<HH", wide, high) + bytes(40)


def webp(kind: bytes, rest: bytes) -> bytes:
    """The beginning of a WebP."""
    return b"RIFF" + bytes(4) + b"WEBP" + kind + bytes(4) + rest + bytes(40)


def lossless(wide: int, high: int) -> bytes:
    """A WebP that loses nothing."""
    return webp(b"VP8L", b"\x2f" + struct.pack("<I", (wide - 1) | (high - 1) << 14))


def extended(wide: int, high: int) -> bytes:
    """A WebP with further features."""
    sides = (wide - 1).to_bytes(3, "little") + (high - 1).to_bytes(3, "little")
    return webp(b"VP8X", bytes(4) + sides)


def lossy(wide: int, high: int) -> bytes:
    """A plain WebP."""
    return webp(b"VP8 ", bytes(3) + b"\x9d\x01\x2a" + struct.pack("<HH", wide, high))


def url(data: bytes) -> str:
    """A data URL."""
    return f"data:image/x;base64,{b64encode(data).decode()}"


def part(data: bytes, **fields: Any) -> Any:
    """A part of a message."""
    return {"type": "image_url", "image_url": {"url": url(data), **fields}}


@pytest.mark.parametrize("made", [png, jpeg, gif, lossless, extended, lossy])
def test_a_size_is_read_from_the_header(made: Any) -> None:
    """Of every kind that vendors take."""
    assert size_of(url(made(640, 480))) == (640, 480)


def test_a_cameras_notes_are_passed_over_up_to_a_bound() -> None:
    """No more is decoded of any picture."""
    assert size_of(url(jpeg(640, 480, note=100_000))) == (640, 480)
    assert size_of(url(jpeg(640, 480, note=120_000) + bytes(10**6))) == (640, 480)
    many = jpeg(640, 480, note=120_000)[:-60] * 3 + jpeg(1, 1)
    assert len(many) > LONGEST_HEAD
    assert size_of(url(many)) is None


@pytest.mark.parametrize(
    "given",
    [
        None,
        "https://example.com/a.png",
        "data:",
        "data:image/png;base64,",
        "data:image/png;base64,%%%%",
        url(b"no picture at all, but long enough to be one"),
        url(png(0, 10)),
        url(png(2**31, 10)),
        url(b"\xff\xd8" + bytes(100)),
        url(b"\xff\xd8\xff\xe1\xff"),
    ],
)
def test_what_has_no_size(given: Any) -> None:
    """Is counted by the flat figure."""
    assert size_of(given) is None
    body = {"messages": [{"content": [{"type": "image_url", "image_url": {"url": given}}]}]}
    assert prompt_tokens(body, model="gpt-4o") >= IMAGE_TOKENS


@pytest.mark.parametrize(
    ("model", "size", "tokens"),
    [
        ("gpt-4o", (1024, 1024), 765),
        ("openai/gpt-4o-2024-08-06", (2048, 4096), 1105),
        ("gpt-4o", (512, 512), 255),
        ("gpt-4o-mini", (512, 512), 2833 + 5667),
        ("gpt-5", (1024, 1024), 70 + 4 * 140),
        ("gpt-4.1-mini-2025-04-14", (1024, 1024), 1659),  # 1,024 patches
        ("o4-mini", (1800, 2400), 2498),  # 1,452 patches
        ("claude-sonnet-4-5", (200, 200), 54),
        ("bedrock/anthropic.claude-3-haiku", (1000, 1000), 1334),
        ("claude-opus-4", (8000, 8000), 1600),
        ("gemini-2.5-flash", (384, 384), 258),
        ("vertex_ai/gemini-2.0-flash", (960, 540), 6 * 258),
        ("gemini-3-pro-preview", (960, 540), 1120),
        ("qwen-vl", (960, 540), None),
        ("gpt-5.9", (960, 540), None),
    ],
)
def test_the_vendors_own_examples(model: str, size: tuple[int, int], tokens: int | None) -> None:
    """And models of which nothing is published."""
    assert picture_tokens(part(png(*size)), model) == tokens
    body = {"messages": [{"content": [part(png(*size))]}]}
    rest = prompt_tokens({"messages": [{"content": []}]})
    assert prompt_tokens(body, model=model) - rest == (tokens or IMAGE_TOKENS)
    assert prompt_tokens(body) - rest == IMAGE_TOKENS


def test_little_detail_is_little() -> None:
    """Where tiles are counted."""
    assert picture_tokens(part(png(2048, 2048), detail="low"), "gpt-4o") == 85
