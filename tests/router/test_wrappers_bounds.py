"""Texts made to be slow to read: none takes longer than a moment, and wrapping is still found."""

from __future__ import annotations

import time

import pytest

from collegium.router.conversation import last_asked, query_text
from collegium.router.wrappers import AROUND, without_wrappers

TAGS = "".join(f"<{name}>" for name in sorted(AROUND))


@pytest.mark.parametrize(
    "text",
    [
        "<a>" * 2_000_000 + "</a>" * 2_000_000,
        "<" * 10_000_000,
        "<a <a " * 1_000_000,
        ("<a" + " " * 400) * 20_000,
        "<user_info></user_info>" * 400_000,
        TAGS * 8_000,
        "#" * 10_000_000,
        "#\n" * 4_000_000,
    ],
    ids=["tags", "open", "spaces", "blanks", "blocks", "unclosed", "hashes", "headings"],
)
def test_no_text_takes_long(text: str) -> None:
    """Nine million tags took 5 s; of a text of 10 MB, to copy it is most of what is left."""
    started = time.thread_time()
    without_wrappers(text)
    assert time.thread_time() - started < 0.5


def test_no_conversation_takes_long() -> None:
    """Thousands of messages that are nothing but wrapping."""
    messages = [{"role": "user", "content": "<user_info></user_info>" * 80}] * 10_000
    started = time.thread_time()
    assert last_asked(messages) == ""
    query_text(messages)
    assert time.thread_time() - started < 0.5


def test_long_blocks_are_left_out() -> None:
    """However long they are: their contents are not looked at."""
    files = "<open_files>" + "<p>x</p>" * 100_000 + "</open_files>"
    assert without_wrappers(f"{files}\n{files}\nWhy is it red?") == "Why is it red?"
