"""Ask panels of the fake experts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx

from collegium.registry.expert import Expert
from tests.web.conftest import Web
from tests.web.fakes import ADDRESS, SQL

NAMES = ("sql", "general", "lists")
"""Best first on `sql` questions."""
TOOLS = [{"type": "function", "function": {"name": "find", "parameters": {}}}]


async def ask(web: Web, mode: str, *, stream: bool = False, **routing: Any) -> httpx.Response:
    """Ask a panel of three."""
    return await web.chat("sql 1", model=f"collegium/{mode}", stream=stream, routing=routing)


def knowing(name: str, level: float) -> Expert:
    """An expert that is known to be so good at everything."""
    skills = dict.fromkeys(("lists", "poems", "sql"), level)
    priced = replace(SQL, input_price=1.0, output_price=2.0)
    return replace(priced, name=name, base_url=f"{ADDRESS}/{name}", skills=skills)
