"""Text that agents and editors put around what a user asks does not decide."""

from __future__ import annotations

import time
from typing import Any

import pytest

from collegium.router.conversation import query_text
from collegium.router.wrappers import without_wrappers

ASKED = "Why is the sky blue?"


@pytest.mark.parametrize(
    "text",
    [
        ASKED,
        f"<system-reminder>\nThis is CLAUDE.md: SELECT 1\n</system-reminder>\n{ASKED}",
        f"{ASKED}\n<system-reminder>Your todo list is empty.</system-reminder>",
        f"<environment_context>\n  <cwd>/home/me</cwd>\n</environment_context>\n\n{ASKED}",
        f"<user_instructions>Write SQL in capitals.</user_instructions>\n{ASKED}",
        f"<ide_opened_file>The user opened films.sql</ide_opened_file>{ASKED}",
        f"# Context from my IDE setup:\n\n## Open tabs: a\n\n## My request for Codex:\n{ASKED}",
        f"<task>\n{ASKED}\n</task>\n\n<environment_details>\n# VSCode Visible Files\na.sql\n"
        "</environment_details>",
        f"<context>\nToday is Monday.\n</context>\n<userRequest>\n{ASKED}\n</userRequest>",
        f"<attached_files>\nfilms.sql\n</attached_files>\n<user_query>\n{ASKED}\n</user_query>",
        f'<system_reminder id="1">one</system_reminder><USER_INFO>two</USER_INFO> {ASKED}',
    ],
)
def test_the_users_own_words_are_left(text: str) -> None:
    """Whichever agent wraps them."""
    assert without_wrappers(text) == ASKED


@pytest.mark.parametrize(
    "text",
    [
        "<html><body>hello</body></html>",
        "<instructions>Translate</instructions><text>Hallo</text>",
        "if a < b and c > d: <system-reminder> is not closed",
        "# Notes\n- one",
        "1 << 3",
    ],
)
def test_what_is_the_users_own_is_kept(text: str) -> None:
    """Tags that nobody's agent writes, and those that never close."""
    assert without_wrappers(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "<environment_context>\n<cwd>/home/me</cwd>\n</environment_context>",
        "# AGENTS.md instructions for /home/me\n\n<INSTRUCTIONS>\nUse SQL.\n</INSTRUCTIONS>",
        "<command-name>/clear</command-name><command-message>clear</command-message>",
    ],
)
def test_a_message_of_an_agent_alone_is_passed_over(text: str) -> None:
    """The question is the one before it."""
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": ASKED},
        {"role": "user", "content": text},
    ]
    assert query_text(messages) == ASKED
    assert query_text(messages[::-1]) == ASKED


def test_many_tags_take_no_quadratic_time() -> None:
    """Tags that never close are looked for once."""
    started = time.perf_counter()
    without_wrappers("<system-reminder><task>" * 50_000)
    assert time.perf_counter() - started < 2
