"""`collegium chat`: talk to the pool in the terminal."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import click

from collegium.redaction import lines, one_line


@click.command(epilog="Example: collegium chat --model auto")
@click.option("--model", default="auto", help="A virtual model or an expert.")
@click.option("--message", help="Send this message and exit.")
def command(model: str, message: str | None) -> None:
    """Chat with the pool. Shows which expert answers and why. An empty line ends."""
    asyncio.run(_talk(model, message))


async def _talk(model: str, message: str | None) -> None:
    from collegium.cli.service_client import required_service

    messages: list[dict[str, str]] = []
    async with required_service() as service:
        while asked := message or click.prompt("You", default="", show_default=False):
            messages.append({"role": "user", "content": asked})
            body = {"model": model, "messages": messages, "stream": True}
            text = await _stream(service.http, body)
            messages.append({"role": "assistant", "content": text})
            if message:
                return


async def _stream(http: Any, body: dict[str, Any]) -> str:
    from collegium.errors import CollegiumError

    text: list[str] = []
    async with http.stream("POST", "/v1/chat/completions", json=body) as response:
        if response.is_error:
            error = json.loads(await response.aread())["error"]
            raise CollegiumError(error["message"])
        async for line in response.aiter_lines():
            data = line.removeprefix("data:").strip()
            if not data or data == "[DONE]":
                continue
            chunk = json.loads(data)
            if "error" in chunk:
                raise CollegiumError(chunk["error"]["message"])
            text.append(_show(chunk))
    click.echo()
    return "".join(text)


def _show(chunk: dict[str, Any]) -> str:
    decision = (chunk.get("collegium") or {}).get("decision")
    if decision is not None:
        words = one_line(f"[{decision['expert']}] {decision['reason']}")
        click.secho(words, dim=True, err=True)
    choices = chunk.get("choices") or [{}]
    text = (choices[0].get("delta") or {}).get("content") or ""
    click.echo(lines(str(text)), nl=False)  # each piece alone: what steers starts with a control
    return str(text)
