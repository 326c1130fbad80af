"""Custom questions from a file of JSON lines, marked by the same checkers as the bank's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from collegium.errors import BadRequest
from collegium.experts.marking import checker_of
from collegium.experts.questions.base import LEVELS, Question

FIELDS = ("id", "kind", "level", "prompt", "request", "checker", "options", "reference")
NOT_IN_FILES = ("database",)
"""Options that name a file of this machine: data must not choose which one is read."""


def own_questions(path: Path) -> list[Question]:
    """Read a file of questions; BadRequest names the line that is wrong."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise BadRequest(f"can't read the questions in '{path}': {exc}") from exc
    found = [
        _question(line, f"{path}, line {number}", number)
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]
    if not found:
        raise BadRequest(f"there are no questions in '{path}'")
    return found


def _question(line: str, where: str, number: int) -> Question:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as exc:
        raise BadRequest(f"{where}: invalid JSON ({exc})") from exc
    if not isinstance(row, dict):
        raise BadRequest(f"{where}: a question must be a JSON object")
    if unknown := sorted(row.keys() - set(FIELDS)):
        raise BadRequest(f"{where}: unknown field {unknown[0]}; available: {', '.join(FIELDS)}")
    kind, level = row.get("kind", "own"), row.get("level", 2)
    if not isinstance(kind, str) or not kind or isinstance(level, bool) or level not in LEVELS:
        raise BadRequest(f"{where}: `kind` must be a string and `level` 1, 2 or 3")
    checker, options = _checker(row, where)
    name = str(row.get("id") or f"{kind}-{level}-line{number}")
    return Question(name, kind, level, _request(row, where), checker, row.get("reference"), options)


def _request(row: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """The body: given whole, or as one prompt."""
    prompt, request = row.get("prompt"), row.get("request")
    if isinstance(prompt, str) and prompt and request is None:
        return {"messages": [{"role": "user", "content": prompt}]}
    messages = request.get("messages") if isinstance(request, dict) else None
    if prompt is None and isinstance(request, dict) and isinstance(messages, list) and messages:
        return request
    raise BadRequest(f"{where}: give `prompt`, or `request` with its `messages`")


def _checker(row: Mapping[str, Any], where: str) -> tuple[str, Mapping[str, Any]]:
    name, options = row.get("checker", "reference"), row.get("options", {})
    if not isinstance(name, str) or not isinstance(options, dict):
        raise BadRequest(f"{where}: `checker` must be a name and `options` an object")
    if refused := sorted(options.keys() & set(NOT_IN_FILES)):
        raise BadRequest(f"{where}: a file of questions can't set the option {refused[0]}")
    try:
        checker_of(name, **options)
    except BadRequest as exc:
        raise BadRequest(f"{where}: {exc}") from exc
    return name, options
