"""A model that knows the answers to the example's prompts, in some of its applications.

Run as `scripted_model.py PORT FILE APPLICATION…`; an OpenAI-compatible server. As a judge of two
answers it prefers the one that says something.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from aiohttp import web

UNKNOWN = "I do not know."
QUOTED = re.compile(r'<answer-(\w+) number="\d">\n(.*?)\n</answer-\1>', re.DOTALL)


def answers(file: Path, applications: set[str]) -> dict[str, str]:
    """The right answer to each prompt of those applications."""
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return {
        row["request"]["messages"][-1]["content"]: said(row["reference"])
        for row in rows
        if row["application"] in applications
    }


def said(reference: Any) -> str:
    """A reference as a model would say it."""
    if isinstance(reference, dict):
        return str(reference.get("letter") or reference["value"])
    return str(reference)


def verdict(compared: list[str]) -> str:
    """Which of two answers is better."""
    first, second = (text != UNKNOWN for text in compared)
    return "tie" if first == second else "1" if first else "2"


def application(known: dict[str, str], name: str) -> web.Application:
    """The server."""

    async def models(_: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": name, "object": "model"}]})

    async def chat(request: web.Request) -> web.Response:
        body = await request.json()
        content = str(body["messages"][-1]["content"])
        compared = [text for _, text in QUOTED.findall(content)]
        text = verdict(compared) if len(compared) == 2 else known.get(content, UNKNOWN)
        usage = {"prompt_tokens": len(content) // 4, "completion_tokens": len(text) // 3 + 1}
        usage["total_tokens"] = sum(usage.values())
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return web.json_response(
            {
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "created": 1,
                "model": name,
                "choices": [choice],
                "usage": usage,
            }
        )

    app = web.Application()
    app.router.add_get("/v1/models", models)
    app.router.add_post("/v1/chat/completions", chat)
    return app


if __name__ == "__main__":
    port, file, *known_applications = sys.argv[1:]
    known = answers(Path(file), set(known_applications))
    web.run_app(application(known, "scripted"), host="127.0.0.1", port=int(port), print=None)
