"""A service with two teams, and a caller of each role."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.web.access import ADMIN, HELLO, bearer
from tests.web.conftest import Serve, Web

PEOPLE: Mapping[str, tuple[str, str | None]] = {
    "root": ("operator", None),
    "lead": ("team-lead", "search"),
    "anna": ("caller", "search"),
    "view": ("read-only", "search"),
    "ben": ("caller", "support"),
    "audit": ("read-only", None),
}
"""Names of keys with their roles and teams."""


@dataclass
class Keyed:
    """The service, and the secrets of the keys that were made."""

    web: Web
    secrets: dict[str, str]

    async def send(self, who: str, method: str, path: str, **fields: Any) -> httpx.Response:
        """A request with somebody's key; "api_key" is the setting's."""
        key = ADMIN if who == "api_key" else self.secrets[who]
        headers = bearer(key) | fields.pop("headers", {})
        return await self.web.http.request(method, path, headers=headers, **fields)

    async def make(self, name: str, by: str = "api_key", **fields: Any) -> Any:
        """A new key, as the API shows it."""
        answer = await self.send(by, "POST", "/v1/keys", json={"name": name, **fields})
        assert answer.status_code == 201, answer.text
        self.secrets[name] = answer.json()["key"]
        return answer.json()

    async def ask(self, who: str, **fields: Any) -> httpx.Response:
        """One question."""
        return await self.send(who, "POST", "/v1/chat/completions", json=HELLO | fields)


@asynccontextmanager
async def keyed(serve: Serve, **settings: Any) -> AsyncIterator[Keyed]:
    """A service on which all these keys were made through the API."""
    async with serve(api_key=ADMIN, record="full", **settings) as web:
        found = Keyed(web, {})
        for team in ("search", "support"):
            made = await found.send("api_key", "POST", "/v1/teams", json={"name": team})
            assert made.status_code == 201
        for name, (role, member_of) in PEOPLE.items():
            await found.make(name, role=role, team=member_of)
        yield found


def code(answer: httpx.Response) -> tuple[int, str]:
    """The status and the error's code."""
    return answer.status_code, answer.json()["error"]["code"]
