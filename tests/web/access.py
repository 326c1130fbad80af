"""Keys of a service with one caller beside its administrator, and how they are sent."""

from __future__ import annotations

from typing import Any

import httpx

ADMIN, CALLER = "the-administrators-key", "a-callers-key"
KEYS: dict[str, Any] = {"api_key": ADMIN, "caller_keys": {"shop": CALLER}}
HELLO = {"messages": [{"role": "user", "content": "sql 1"}]}


def bearer(key: str) -> dict[str, str]:
    """The header that carries a key."""
    return {"authorization": f"Bearer {key}"}


def code(answer: httpx.Response) -> tuple[int, str]:
    """The status and the error's code."""
    return answer.status_code, answer.json()["error"]["code"]
