"""`collegium chat` shows what a model says, and nothing that steers a terminal."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from collegium.cli.chat_command import _stream

PIECES = ("a\x1b", "]0;pwned\x07", "\x1b[31mred\x1b[2J\r\u202e", "\n\tb é")
DECISION = {"expert": "sql\x1b[2J", "reason": "best\nof \x9b2J"}


def test_control_characters_of_an_answer_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    """Also of one that comes in two pieces; the conversation goes on with what was said."""
    chunks: list[dict[str, Any]] = [{"collegium": {"decision": DECISION}, "choices": []}]
    chunks += [{"choices": [{"delta": {"content": piece}}]} for piece in PIECES]
    text = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    transport = httpx.MockTransport(lambda _: httpx.Response(200, text=text))

    async def talk() -> str:
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as http:
            return await _stream(http, {})

    assert asyncio.run(talk()) == "".join(PIECES)
    shown = capsys.readouterr()
    assert shown.out == "a\\x1b]0;pwned\\x07\\x1b[31mred\\x1b[2J\\r\\u202e\n\tb é\n"
    assert shown.err == "[sql\\x1b[2J] best\\nof \\x9b2J\n"
