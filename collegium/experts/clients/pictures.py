"""Count the tokens of an image by vendors' published rules, from its width and height.

OpenAI     https://platform.openai.com/docs/guides/images-vision#calculating-costs
Anthropic  https://platform.claude.com/docs/en/build-with-claude/vision#calculate-image-costs
Google     https://ai.google.dev/gemini-api/docs/image-understanding#token-counting and, for
           Gemini 3, https://ai.google.dev/gemini-api/docs/media-resolution
"""

from __future__ import annotations

import binascii
import struct
from base64 import b64decode
from collections.abc import Callable, Mapping
from math import ceil, floor, sqrt
from typing import Any

Size = tuple[int, int]
"""Width and height, pixels."""
MOST_PIXELS = 16_384
"""The maximum length of a side in pixels: vendors refuse larger images."""
HEAD, LONGEST_HEAD = 40, 256 * 1024
"""Bytes read of an image; more of a JPEG, whose size may follow long camera metadata."""
TILES: Mapping[str, tuple[int, int]] = {
    "gpt-4-turbo": (85, 170),
    "gpt-4o": (85, 170),
    "chatgpt-4o": (85, 170),
    "gpt-4o-mini": (2833, 5667),
    "gpt-4.1": (85, 170),
    "gpt-4.5": (85, 170),
    "gpt-5": (70, 140),
    "o1": (75, 150),
    "o3": (75, 150),
    "computer-use-preview": (65, 129),
}
"""OpenAI's models that see in tiles: tokens of a picture, and of each tile of it."""
PATCHES: Mapping[str, float] = {
    "gpt-4.1-mini": 1.62,
    "gpt-4.1-nano": 2.46,
    "gpt-5-mini": 1.62,
    "gpt-5-nano": 2.46,
    "o4-mini": 1.72,
}
"""OpenAI's models that see in patches: tokens of each."""
PATCH, MOST_PATCHES = 32, 1536
LONG_SIDE, SHORT_SIDE, TILE = 2048, 768, 512
CLAUDES_SIDE, CLAUDES_AREA, CLAUDES_MOST = 1568, 750, 1600
"""A longest side, pixels a token, and the most tokens of a picture."""
GEMINIS_TILE, GEMINIS_SMALL, GEMINI_3 = 258, 384, 1120
SMALLEST_CROP = 256


def picture_tokens(part: Mapping[str, Any], model: str) -> int | None:
    """Return the tokens of an `image_url` part; None if the model or the size is unknown."""
    image = part.get("image_url")
    if not isinstance(image, Mapping):
        return None
    rule = _rule_of(model.lower())
    size = None if rule is None else size_of(image.get("url"))
    return None if rule is None or size is None else rule(size, image.get("detail") == "low")


def size_of(url: Any) -> Size | None:
    """The size of an image in a data URL (PNG, JPEG, GIF or WebP); None for anything else."""
    if not isinstance(url, str) or not url.startswith("data:"):
        return None
    start = url.find(",", 0, 200) + 1
    head = _decoded(url, start, HEAD)
    if head.startswith(b"\xff\xd8"):
        size = _of_jpeg(_decoded(url, start, LONGEST_HEAD))
    else:
        size = _of_head(head)
    return size if size is not None and all(0 < side <= MOST_PIXELS for side in size) else None


def _decoded(url: str, start: int, most: int) -> bytes:
    text = url[start : start + 4 * ceil(most / 3)]
    try:
        return b64decode(text[: len(text) // 4 * 4])
    except (binascii.Error, ValueError):
        return b""


def _of_head(head: bytes) -> Size | None:
    """Read the size from the header of a PNG (RFC 2083), GIF (GIF89a) or WebP (RFC 9649)."""
    if len(head) < 30:
        return None
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return _unpacked(">II", head, 16)
    if head.startswith((b"GIF87a", b"GIF89a")):
        return _unpacked("<HH", head, 6)
    if head[:4] != b"RIFF" or head[8:12] != b"WEBP":
        return None
    if head[12:16] == b"VP8X":
        wide, high = (int.from_bytes(head[at : at + 3], "little") + 1 for at in (24, 27))
        return wide, high
    if head[12:16] == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    wide, high = _unpacked("<HH", head, 26)
    return wide & 0x3FFF, high & 0x3FFF


def _of_jpeg(data: bytes) -> Size | None:
    """Read the size from the frame header (ITU-T T.81, B.2.2), skipping the segments before it."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        kind, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            high, wide = _unpacked(">HH", data, at + 5)
            return wide, high
        at += 1 if kind == 0xFF else 2 + length
    return None


def _unpacked(form: str, data: bytes, at: int) -> Size:
    first, second = struct.unpack_from(form, data, at)
    return first, second


Rule = Callable[[Size, bool], int]
"""Maps a size, and whether low detail is requested, to tokens."""


def _rule_of(model: str) -> Rule | None:
    name = model.rpartition("/")[2]
    if "claude" in name:
        return _by_area
    if name.startswith("gemini-"):
        return _by_crops if name.startswith(("gemini-1", "gemini-2")) else lambda _, __: GEMINI_3
    known = (key for key in (*TILES, *PATCHES) if name == key or name.startswith(f"{key}-"))
    family = max(known, key=len, default=None)
    if family is None:
        return None
    if family in PATCHES:
        return lambda size, _: ceil(_patches(size) * PATCHES[family])
    base, each = TILES[family]
    return lambda size, low: base if low else base + each * _tiles(size)


def _tiles(size: Size) -> int:
    wide, high = size
    shrink = min(1.0, LONG_SIDE / max(wide, high))
    shrink *= min(1.0, SHORT_SIDE / (min(wide, high) * shrink))
    return ceil(wide * shrink / TILE) * ceil(high * shrink / TILE)


def _patches(size: Size) -> int:
    wide, high = size
    count = ceil(wide / PATCH) * ceil(high / PATCH)
    if count <= MOST_PATCHES:
        return count
    shrink = sqrt(PATCH * PATCH * MOST_PATCHES / (wide * high))
    sides = [side * shrink / PATCH for side in size]
    shrink *= min((floor(side) or 1) / side for side in sides)
    return min(MOST_PATCHES, ceil(wide * shrink / PATCH) * ceil(high * shrink / PATCH))


def _by_area(size: Size, _: bool) -> int:
    wide, high = size
    shrink = min(1.0, CLAUDES_SIDE / max(wide, high))
    return min(CLAUDES_MOST, ceil(wide * high * shrink * shrink / CLAUDES_AREA))


def _by_crops(size: Size, _: bool) -> int:
    if max(size) <= GEMINIS_SMALL:
        return GEMINIS_TILE
    crop = max(SMALLEST_CROP, floor(min(size) / 1.5))
    return GEMINIS_TILE * ceil(size[0] / crop) * ceil(size[1] / crop)
