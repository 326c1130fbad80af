"""Text that agents and editors wrap around a user's words: ignored by routing, sent to experts.

Known are the blocks of Claude Code, Codex, Cline, Roo Code, Cursor, GitHub Copilot, opencode and
Gemini CLI. A tag that is not listed is the user's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_AROUND = """
additional_data attached_files available_skills bash-input bash-stderr bash-stdout
claude_background_info collaboration_mode command-args command-contents command-message command-name
current_file currently_open_file cursor_rules editorcontext environment_context environment_details
environmentinfo file_tree files_changed git_status gitstatus ide_context ide_diagnostics
ide_opened_file ide_selection linter_errors local-command-caveat local-command-stderr
local-command-stdout manually_added_selection open_and_recently_viewed_files open_files
post-tool-use-hook project_context project_layout recently_viewed_files reminderinstructions
repocontext session-start-hook skills_instructions subagent_notification system_info
system_notification system-notification system_reminder system-reminder system_warning task_progress
todo_list tool_use_error turn_aborted user-prompt-submit-hook user_info user_instructions
user_memory user_rules visible_files workspace_info workspace_rules
"""
AROUND = frozenset(_AROUND.split())
"""Blocks that say nothing of what is asked, in lower case."""
INSIDE = ("user_query", "userrequest", "user_request", "user_message", "task", "feedback")
"""Blocks that contain the user's words, while everything outside of them is the agent's."""
_OPENING = re.compile(r"<([A-Za-z][\w:.-]{0,40})(?:\s[^<>]{0,400})?>")
_REQUEST = re.compile(
    r"^#{1,6} *(?:My request for Codex|User request|User'?s? question): *\n", re.M
)
_MEMORY = re.compile(
    r"\A(?:# AGENTS\.md instructions for [^\n]*\n|# Context from my IDE setup:\n)", re.IGNORECASE
)

MOST_TAGS, MOST_UNCLOSED, WINDOW = 2_000, 8, 2**20
"""Tags that are looked at, known ones without an end, and characters without any tag: what comes
after is read as the user's own. Nine million tags, 28 KB compressed, held up everybody for 11 s.
"""


def without_wrappers(text: str) -> str:
    """Return the user's own words; "" if a message contains nothing but wrapping."""
    if "<" in text:
        text = _own(text)
    if text.startswith("#") or "\n#" in text:
        text = _after_headings(text)
    return text.strip()


def _own(text: str) -> str:
    kept, end = [], 0
    for name, start, inner, close, after in _blocks(text):
        if name in INSIDE:
            if own := text[inner:close].strip():
                return own
            continue
        kept.append(text[end:start])
        end = after
    return "".join((*kept, text[end:])) if end else text


def _blocks(text: str) -> Iterator[tuple[str, int, int, int, int]]:
    """Return the known, closed blocks: name, and the positions of begin, text, close and end."""
    lower, position = text.lower(), 0
    unclosed: set[str] = set()
    for _ in range(MOST_TAGS):
        found = _OPENING.search(text, position, position + WINDOW)
        if found is None or len(unclosed) > MOST_UNCLOSED:
            return
        position, name = found.end(), found[1].lower()
        if name in unclosed or not (name in AROUND or name in INSIDE):
            continue
        closing = f"</{name}>"
        close = lower.find(closing, position)
        if close < 0:
            unclosed.add(name)  # to look again for each of them would take quadratic time
            continue
        yield name, found.start(), position, close, close + len(closing)
        position = close + len(closing)


def _after_headings(text: str) -> str:
    """Return what follows the heading of the request; nothing of a file of instructions."""
    start = max(len(text) - WINDOW, 0)
    if requests := list(_REQUEST.finditer(text, start)):
        return text[requests[-1].end() :]
    return "" if _MEMORY.match(text) else text
